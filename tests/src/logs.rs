//! What the processes wrote, line by line, as it comes.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

/// All lines of one stream so far. Clones share them.
#[derive(Debug, Clone)]
pub struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
    /// How many lines there are; closed at the end of the stream.
    count: watch::Receiver<usize>,
}

impl Logs {
    /// Collects the lines of `stream` until it ends.
    pub(crate) fn of(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counted, count) = watch::channel(0);
        let collected = Arc::clone(&lines);
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(stream.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                collected.lock().unwrap().push(text);
                counted.send_modify(|count| *count += 1);
                line.clear();
            }
        });
        Self { lines, count }
    }

    /// The first line, already written or still to come, from which `find` takes something; `None` when the
    /// stream ended without it.
    pub async fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let mut count = self.count.clone();
        let mut seen = 0;
        loop {
            // Before the lines are looked at, so that none comes unnoticed in between.
            let written = *count.borrow_and_update();
            if let Some(found) = self.lines.lock().unwrap()[seen..written].iter().find_map(|line| find(line))
            {
                return Some(found);
            }
            seen = written;
            if count.changed().await.is_err() && *count.borrow() == seen {
                return None;
            }
        }
    }

    /// Waits until so many lines hold this text.
    pub async fn nth(&self, text: &str, times: usize) {
        let mut count = self.count.clone();
        loop {
            let written = *count.borrow_and_update();
            let found =
                self.lines.lock().unwrap()[..written].iter().filter(|line| line.contains(text)).count();
            if found >= times || count.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits for the end of the stream.
    pub async fn end(&self) {
        let mut count = self.count.clone();
        while count.changed().await.is_ok() {}
    }
}

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.lock().unwrap().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
