//! What a worker prints of its types.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_apps_have_the_types_that_the_worker_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_fn-workers")).arg("--emit-types").output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let printed = String::from_utf8(printed.stdout).unwrap();
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/apps");
    for app in ["threads-react", "threads-solid"] {
        let file = apps.join(app).join("src/native-functions.d.ts");
        let kept = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            kept, printed,
            "run `fn-workers --emit-types > tests/apps/{app}/src/native-functions.d.ts`"
        );
    }
}
