// The job that the running code belongs to. It lies in the async context under its own name, where the watchdog
// finds it without running JavaScript; the names of async variables beside it are numbers.
(function () {
  const { getAsyncContext, setAsyncContext } = __bootstrap.core;

  const currentJob = {
    enter(job) {
      setAsyncContext({ __proto__: null, ...getAsyncContext(), job });
    },
    get() {
      return getAsyncContext()?.job;
    },
  };

  return { currentJob };
})();
