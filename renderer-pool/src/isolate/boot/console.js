// `console` writes structured log lines: each with its level and the request that it belongs to.
(function () {
  const { core } = __bootstrap;
  const { op_log } = core.ops;
  const { Console, setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");

  // The levels of Deno's print function: 0 debug, 1 log and info, 2 warn, 3 error.
  function createConsole(currentJobKey) {
    setNoColorFns(() => true, () => true);
    return new Console((message, level) => op_log(currentJobKey(), level, message));
  }

  return { createConsole };
})();
