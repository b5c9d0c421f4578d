// The job on whose behalf JavaScript runs now, through promises, timers and streams.
(function () {
  const { AsyncVariable } = __bootstrap.core;
  return { currentJob: new AsyncVariable() };
})();
