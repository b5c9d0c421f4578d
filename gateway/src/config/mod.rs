//! Configuration: flags, environment and file become [`Settings`], or all their errors at once.
//!
//! ```text
//! flag > environment (ISOPOD_...) > file > default
//!   \         |             |         /
//!    table::SECTIONS: one table of names, kinds, defaults and documentation
//!                     |
//!         read::Reader: every value parsed, every problem kept
//!                     |
//!         settings::Settings
//! ```

pub mod edge;
pub mod environment;
pub mod keys;
pub mod problem;
pub mod read;
pub mod reference;
mod remote;
pub mod rows;
pub mod settings;
pub mod sources;
pub mod table;
pub mod tables;
pub mod value;

pub use problem::Problems;
pub use settings::Settings;
pub use sources::Sources;

/// Reads every key from `sources`.
///
/// # Errors
/// All wrong values of all sources together.
pub fn load(sources: &Sources) -> Result<Settings, Problems> {
    let mut reader = read::Reader::new(sources);
    let settings = settings::read(&mut reader);
    reader.finish(settings)
}
