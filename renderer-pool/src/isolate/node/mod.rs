//! What runs of Node: packages from `node_modules`, Node's built-in modules, CommonJS.
//!
//! - [`permissions`]: what an app may touch; the one place that says so.
//! - [`services`]: finds packages, and tells Node's modules how.
//! - [`commonjs`]: which files are CommonJS, and how `import` sees them.
//! - [`ops`]: what Node's modules ask of a host beyond Deno's extensions.

pub mod commonjs;
pub mod exports;
pub mod ops;
pub mod permissions;
pub mod services;
