// What follows code over promises, timers and callbacks: the job that it belongs to, and the values of async variables,
// on which `AsyncLocalStorage` stands.
//
// A context is never changed, and holds its values itself. deno_core's own variables keep theirs in a `WeakMap` each. Once
// that is old, a collection of the young generation takes its values for roots, whether their keys live or not: all that
// a storage's value led to, the whole of a request in most frameworks, outlived it until V8 collected the whole heap.
(function () {
  const { core } = __bootstrap;
  const { AsyncVariable, getAsyncContext, kNoAsyncContextRestore, setAsyncContext } = core;

  const NO_VALUES = [];

  class AsyncContext {
    constructor(job, values) {
      // The watchdog reads this one without running JavaScript.
      this.job = job;
      // A variable and its value by turns: there are a handful.
      this.values = values;
    }
  }

  function withValue(values, variable, value) {
    const changed = values.slice();
    const at = placeOf(variable, values);
    if (at < 0) {
      changed.push(variable, value);
    } else {
      changed[at + 1] = value;
    }
    return changed;
  }

  function placeOf(variable, values) {
    for (let at = 0; at < values.length; at += 2) {
      if (values[at] === variable) return at;
    }
    return -1;
  }

  // `core` is frozen, its class is not.
  Object.assign(AsyncVariable.prototype, {
    enter(value) {
      const previous = getAsyncContext();
      const values = withValue(previous?.values ?? NO_VALUES, this, value);
      setAsyncContext(new AsyncContext(previous?.job, values));
      return previous;
    },
    enterIfActive(value) {
      return getAsyncContext() == null ? kNoAsyncContextRestore : this.enter(value);
    },
    get() {
      const values = getAsyncContext()?.values;
      if (values === undefined) return undefined;
      const at = placeOf(this, values);
      return at < 0 ? undefined : values[at + 1];
    },
  });

  const currentJob = {
    enter(job) {
      setAsyncContext(new AsyncContext(job, getAsyncContext()?.values ?? NO_VALUES));
    },
    get() {
      return getAsyncContext()?.job;
    },
  };

  return { currentJob };
})();
