// `fetch`, whose refusals are what the Fetch standard has for failures of the network: a `TypeError`. Its `code` is
// that of Node's permission model, its `cause` what was refused.
(function () {
  const { core } = __bootstrap;
  const { fetch: send } = core.loadExtScript("ext:deno_fetch/26_fetch.js");

  // An address that DNS gave is refused when the connection is made, which is then what failed.
  const REFUSED_ADDRESS = /Requires net access to .*, run again with the --allow-net flag$/;

  function refused(failure) {
    const late = REFUSED_ADDRESS.exec(failure?.cause?.message);
    const error = late === null ? failure : new core.NotCapable(late[0]);
    if (!(error instanceof core.NotCapable)) throw error;
    throw Object.assign(new TypeError(`fetch failed: ${error.message}`, { cause: error }), { code: error.code });
  }

  function fetch(input, init = undefined) {
    return (arguments.length === 0 ? send() : send(input, init)).catch(refused);
  }

  return { fetch };
})();
