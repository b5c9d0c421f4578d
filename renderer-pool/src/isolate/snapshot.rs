//! The start-up snapshot that the build script made, and the sources that it left out.

/// An isolate with the Web's globals defined.
pub static SNAPSHOT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/snapshot.bin"));

include!(concat!(env!("OUT_DIR"), "/residual.rs"));
include!(concat!(env!("OUT_DIR"), "/build.rs"));

/// Scripts that are loaded when they are first used, by specifier.
pub static SCRIPTS: &[(&str, &str)] = RESIDUAL_SCRIPTS;

/// Modules that are loaded when they are first used, by specifier.
pub static MODULES: &[(&str, &str)] = RESIDUAL_MODULES;
