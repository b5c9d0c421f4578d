//! Another build of the app, while requests are answered: on SIGHUP, or on `POST /reload` of the admin port.
//!
//! ```text
//!   read and check the build -> serve its files beside the others' -> renderers change over, one after another
//!        | it cannot be read         | it cannot run
//!        +---------------------------+---> what was served before goes on
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::StatusCode;
use tokio::sync::{Mutex, TryLockError};

use crate::admin::{Phase, SharedPhase};
use crate::app::{App, AppError};
use crate::config::Settings;
use crate::metrics::Metrics;
use crate::pool::{PoolHandle, RollError};
use crate::router::build::{Build, Builds};

/// Puts another build in the place of the one that is served. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloader(Arc<State>);

#[derive(Debug)]
struct State {
    settings: Arc<Settings>,
    builds: Builds,
    pool: PoolHandle,
    phase: SharedPhase,
    metrics: Metrics,
    /// One at a time.
    busy: Mutex<()>,
}

/// Why what was served before goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// Another one is under way.
    #[error("another reload is under way: wait for its end")]
    Busy,
    /// The gateway starts, or drains.
    #[error("the gateway does not serve now: it starts, or is about to stop")]
    NotServing,
    /// The build is not whole.
    #[error(transparent)]
    App(#[from] AppError),
    /// The build does not run.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// The thread that was to read it has gone.
    #[error("the build was not read")]
    Unread,
}

impl ReloadError {
    /// The status that the admin port answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Busy | Self::Roll(RollError::Busy) => StatusCode::CONFLICT,
            Self::NotServing | Self::Roll(RollError::Stopped) | Self::Unread => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::App(_) | Self::Roll(RollError::Load(_) | RollError::Ended(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        }
    }
}

impl From<TryLockError> for ReloadError {
    fn from(_: TryLockError) -> Self {
        Self::Busy
    }
}

/// A build that was read.
struct Read {
    app_dir: PathBuf,
    build_id: String,
    build: Build,
}

impl Reloader {
    /// Reloads what `settings` name, into `builds` and `pool`.
    pub fn new(
        settings: Arc<Settings>,
        builds: Builds,
        pool: PoolHandle,
        phase: SharedPhase,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(State { settings, builds, pool, phase, metrics, busy: Mutex::new(()) }))
    }

    /// Serves the build that is now where `--app` says. Returns its id once all renderers run it.
    ///
    /// # Errors
    /// [`ReloadError`]; what was served before goes on then.
    pub async fn reload(&self) -> Result<String, ReloadError> {
        let started = Instant::now();
        let end = self.try_reload().await;
        let outcome = match &end {
            Ok(build_id) => {
                let milliseconds = started.elapsed().as_millis();
                tracing::info!(build_id, milliseconds, "another build is served");
                "done"
            }
            Err(error @ (ReloadError::Busy | ReloadError::NotServing)) => {
                tracing::warn!("no build is looked at: {error}");
                "refused"
            }
            Err(error) => {
                tracing::error!("the build is not taken over: {error}");
                "failed"
            }
        };
        self.0.metrics.reloads.with_label_values(&[outcome]).inc();
        end
    }

    async fn try_reload(&self) -> Result<String, ReloadError> {
        let State { settings, builds, pool, phase, busy, .. } = &*self.0;
        let _alone = busy.try_lock()?;
        if phase.get() != Phase::Serving {
            return Err(ReloadError::NotServing);
        }
        let settings = Arc::clone(settings);
        let read = tokio::task::spawn_blocking(move || read(&settings)).await;
        let Read { app_dir, build_id, build } = read.map_err(|_| ReloadError::Unread)??;
        // Pages of the new build ask for its files as soon as the first renderer runs it.
        let before = builds.replace(build);
        if let Err(error) = pool.roll(app_dir, build_id.clone()).await {
            builds.restore(&before);
            return Err(error.into());
        }
        Ok(build_id)
    }
}

fn read(settings: &Settings) -> Result<Read, AppError> {
    let app = App::open(&settings.app)?;
    let build_id = app.build_id()?;
    let files = super::index(&app, settings)?;
    let build = Build::new(Arc::new(files), app.direct_functions);
    Ok(Read { app_dir: app.dir, build_id, build })
}
