// The error classes that Rust's errors become, by the names that `deno_error` gives them.
(function () {
  const { core } = __bootstrap;
  const { DOMException, QuotaExceededError } = core.loadExtScript("ext:deno_web/01_dom_exception.js");

  const names = [
    "AddonsDisabled",
    "AddrInUse",
    "AddrNotAvailable",
    "AlreadyExists",
    "BrokenPipe",
    "Busy",
    "ConnectionAborted",
    "ConnectionRefused",
    "ConnectionReset",
    "FilesystemLoop",
    "Http",
    "InvalidData",
    "IsADirectory",
    "NetworkUnreachable",
    "NotADirectory",
    "NotConnected",
    "NotFound",
    "NotSupported",
    "PermissionDenied",
    "TimedOut",
    "UnexpectedEof",
    "WouldBlock",
    "WriteZero",
  ];
  const domNames = [
    "AbortError",
    "DataError",
    "IndexSizeError",
    "InvalidAccessError",
    "InvalidCharacterError",
    "InvalidStateError",
    "NetworkError",
    "NotSupportedError",
    "OperationError",
    "SyntaxError",
    "TypeMismatchError",
  ];

  const errors = {
    BadResource: core.BadResource,
    Interrupted: core.Interrupted,
    NotCapable: core.NotCapable,
  };
  // What Node's permission model says.
  const denied = { value: "ERR_ACCESS_DENIED", writable: true, configurable: true };
  Object.defineProperty(core.NotCapable.prototype, "code", denied);

  // Deno's messages name its own flags. The class calls its superclass to keep the message.
  const explanations = {
    env: "which the operator does not let the app see: --env names variables",
    ffi: "and Isopod runs no native code",
    net: "which the operator's rules refuse: --egress names what is allowed",
    read: "which is none of the app's files: --writable names further directories",
    run: "and Isopod starts no processes",
    sys: "which is not for apps to know",
    write: "which is not for the app to write: --writable names directories",
  };
  const explained = (message) =>
    String(message).replace(
      /, run again with the --allow-([a-z]+) flag$/,
      (whole, name) => Object.hasOwn(explanations, name) ? `, ${explanations[name]}` : whole,
    );
  Object.setPrototypeOf(
    core.NotCapable,
    class extends Error {
      constructor(message, options) {
        super(explained(message), options);
      }
    },
  );

  for (const name of names) {
    const named = {
      [name]: class extends Error {
        constructor(message, options) {
          super(message, options);
          this.name = name;
        }
      },
    };
    errors[name] = named[name];
    core.registerErrorClass(name, errors[name]);
  }
  const disabled = { value: "ERR_DLOPEN_DISABLED", writable: true, configurable: true };
  Object.defineProperty(errors.AddonsDisabled.prototype, "code", disabled);
  const unavailable = { value: "ERR_FEATURE_UNAVAILABLE_ON_PLATFORM", writable: true, configurable: true };
  Object.defineProperty(errors.NotSupported.prototype, "code", unavailable);
  for (const name of domNames) {
    core.registerErrorBuilder(`DOMException${name}`, (message) => new DOMException(message, name));
  }
  core.registerErrorBuilder("DOMExceptionQuotaExceededError", (message) => new QuotaExceededError(message));

  return { errors };
})();
