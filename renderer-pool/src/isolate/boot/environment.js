// `process.env` of this isolate: the variables that the operator named, in a map of its own. The process's own
// environment stays out of reach.
(function () {
  const { core } = __bootstrap;
  const { op_isopod_env, op_isopod_temporary_directory } = core.ops;

  const variables = new Map(Object.entries(op_isopod_env()));
  // Where `os.tmpdir()` looks; not listed.
  const temporary = op_isopod_temporary_directory();

  return {
    get: (name) => variables.get(name) ?? (name === "TMPDIR" ? temporary : undefined),
    set: (name, value) => void variables.set(name, value),
    has: (name) => variables.has(name),
    delete: (name) => void variables.delete(name),
    toObject: () => Object.fromEntries(variables),
  };
})();
