// `node:async_hooks` as far as servers use it: AsyncLocalStorage and AsyncResource, over V8's own context that
// travels with promises, and that the timers and the event loop carry on.
(function () {
  const { core } = __bootstrap;
  const { AsyncVariable, getAsyncContext, setAsyncContext } = core;

  function runInContext(context, callback, thisArg, args) {
    const previous = getAsyncContext();
    setAsyncContext(context);
    try {
      return Reflect.apply(callback, thisArg, args);
    } finally {
      setAsyncContext(previous);
    }
  }

  class AsyncLocalStorage {
    #variable = new AsyncVariable();
    #defaultValue;
    #name;

    constructor(options = {}) {
      this.#defaultValue = options.defaultValue;
      this.#name = options.name ?? "";
    }

    get name() {
      return this.#name;
    }

    getStore() {
      const entered = this.#variable.get();
      return entered === undefined ? this.#defaultValue : entered.store;
    }

    run(store, callback, ...args) {
      const previous = this.#variable.enter({ store });
      try {
        return Reflect.apply(callback, undefined, args);
      } finally {
        setAsyncContext(previous);
      }
    }

    exit(callback, ...args) {
      return this.run(undefined, callback, ...args);
    }

    enterWith(store) {
      this.#variable.enter({ store });
    }

    disable() {
      this.#variable = new AsyncVariable();
    }

    static bind(callback) {
      return AsyncResource.bind(callback);
    }

    static snapshot() {
      const context = getAsyncContext();
      return (callback, ...args) => runInContext(context, callback, undefined, args);
    }
  }

  let lastAsyncId = 1;

  class AsyncResource {
    #context = getAsyncContext();
    #asyncId = ++lastAsyncId;
    #type;

    constructor(type) {
      if (typeof type !== "string") {
        const error = new TypeError('The "type" argument must be of type string.');
        error.code = "ERR_INVALID_ARG_TYPE";
        throw error;
      }
      this.#type = type;
    }

    get type() {
      return this.#type;
    }

    runInAsyncScope(callback, thisArg, ...args) {
      return runInContext(this.#context, callback, thisArg, args);
    }

    emitDestroy() {
      return this;
    }

    asyncId() {
      return this.#asyncId;
    }

    triggerAsyncId() {
      return 0;
    }

    bind(callback, thisArg) {
      const resource = this;
      return function (...args) {
        return resource.runInAsyncScope(callback, thisArg === undefined ? this : thisArg, ...args);
      };
    }

    static bind(callback, type, thisArg) {
      return new AsyncResource(type ?? callback.name ?? "bound-anonymous-fn").bind(callback, thisArg);
    }
  }

  const notSupported = (name) => () => {
    const error = new Error(`async_hooks.${name} is not available here; AsyncLocalStorage and AsyncResource are`);
    error.code = "ERR_METHOD_NOT_IMPLEMENTED";
    throw error;
  };

  const exports = {
    AsyncLocalStorage,
    AsyncResource,
    createHook: notSupported("createHook"),
    executionAsyncId: () => 0,
    executionAsyncResource: () => ({}),
    triggerAsyncId: () => 0,
  };
  return { ...exports, default: exports };
})();
