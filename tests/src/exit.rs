//! A gateway that was meant to end, and what it said.

use std::process::ExitStatus;

/// How a gateway ended.
#[derive(Debug)]
pub struct Exit {
    /// Its status.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it logged.
    pub stderr: String,
}

impl Exit {
    /// The exit code, `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts the code, and shows what was said when it is another.
    ///
    /// # Panics
    /// When it is another.
    pub fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code(), Some(code), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self
    }

    /// Asserts that each text was logged.
    ///
    /// # Panics
    /// When one was not.
    pub fn expect_said(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is not in:\n{}", self.stderr);
        }
        self
    }
}
