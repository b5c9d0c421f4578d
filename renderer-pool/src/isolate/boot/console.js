// `console` writes structured log lines: each with its level and the request that it belongs to.
(function () {
  const { core } = __bootstrap;
  const { op_log } = core.ops;
  const { Console, setNoColorFns } = core.loadExtScript("ext:deno_web/01_console.js");

  // The levels of Deno's print function: 0 debug, 1 log and info, 2 warn, 3 error.
  function createConsole(currentJobKey) {
    setNoColorFns(() => true, () => true);
    const console = new Console((message, level) => op_log(currentJobKey(), level, message));
    const { error } = console;
    console.error = (...values) => error(...values.map(withComponentStack));
    return console;
  }

  // React says where in the tree of components an error was thrown through a getter, which a console does not call.
  function withComponentStack(value) {
    if (value === null || typeof value !== "object") return value;
    const getter = Object.getOwnPropertyDescriptor(value, "componentStack")?.get;
    if (getter === undefined) return value;
    try {
      return `\nComponent stack:${value.componentStack}`;
    } catch {
      return value;
    }
  }

  return { createConsole };
})();
