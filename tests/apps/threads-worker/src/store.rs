//! The database: SQLite, in a file that several processes share, or in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fn_workers::seroval::Date;
use fn_workers::{Context, FunctionError, State};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::threads::{List, Page, Rename, Summary, Thread};

/// Names the database's file; without it threads live as long as the process.
const FILE: &str = "SERVICE_DATABASE";

/// How long a change waits for that of another process.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS threads (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        owner TEXT NOT NULL,
        title TEXT NOT NULL,
        starred INTEGER NOT NULL DEFAULT 0,
        labels TEXT NOT NULL DEFAULT '[]',
        text TEXT NOT NULL DEFAULT '',
        words INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        updated_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS threads_of_owners ON threads (owner, updated_at DESC);
    CREATE TABLE IF NOT EXISTS waits (
        id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        cancelled INTEGER NOT NULL DEFAULT 0
    ) STRICT;
";

const FIRST_THREADS: [&str; 4] =
    ["Permits that drop", "Windows under load", "A deadline for everything", "What a seal holds"];

/// All threads of all owners. Every question names the owner.
pub struct Store {
    connection: Mutex<Connection>,
}

/// A thread to be.
pub struct NewThread {
    pub title: String,
    pub text: String,
    pub words: u32,
    pub bytes: u32,
}

/// Calls that wait, and calls that were left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitCounts {
    pub running: u32,
    pub cancelled: u32,
}

/// Asks the store on the process's pool for what blocks.
///
/// # Errors
/// 500 when SQLite fails, 503 when too much waits for the pool.
pub async fn ask<T: Send + 'static>(
    store: State<Store>,
    context: &Context,
    question: impl FnOnce(&Store) -> Result<T> + Send + 'static,
) -> std::result::Result<T, FunctionError> {
    let store = store.into_inner();
    Ok(context.blocking(move || question(&store)).await??)
}

impl Store {
    /// The store that the environment names.
    ///
    /// # Errors
    /// When the file is no database, or cannot be written.
    pub fn from_environment() -> Result<Self> {
        match std::env::var_os(FILE) {
            Some(file) => Self::of(Connection::open(file)?),
            None => Self::of(Connection::open_in_memory()?),
        }
    }

    fn of(connection: Connection) -> Result<Self> {
        connection.busy_timeout(BUSY)?;
        // A store in memory has no journal; it says so instead of failing.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an owner who has no threads the first ones.
    pub fn welcome(&self, owner: &str) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let count: u32 =
            transaction
                .query_row("SELECT COUNT(*) FROM threads WHERE owner = ?", [owner], |row| row.get(0))?;
        if count == 0 {
            for title in FIRST_THREADS {
                insert(&transaction, owner, &NewThread::titled(title))?;
            }
        }
        transaction.commit()
    }

    pub fn list(&self, owner: &str, wanted: &List) -> Result<Page> {
        let connection = self.connection();
        let pattern = format!("%{}%", wanted.query.as_deref().unwrap_or("").replace(['%', '_', '\\'], ""));
        let least_starred = wanted.starred.unwrap_or(false);
        let mut threads = connection.prepare_cached(
            "SELECT id, title, starred, updated_at FROM threads
             WHERE owner = ? AND title LIKE ? AND starred >= ? ORDER BY updated_at DESC, id DESC LIMIT ?",
        )?;
        let threads = threads.query_map(params![owner, pattern, least_starred, wanted.limit()], summary)?;
        let threads = threads.collect::<Result<Vec<_>>>()?;
        let total = connection.query_row(
            "SELECT COUNT(*) FROM threads WHERE owner = ? AND title LIKE ? AND starred >= ?",
            params![owner, pattern, least_starred],
            |row| row.get(0),
        )?;
        Ok(Page { threads, total })
    }

    pub fn read(&self, owner: &str, id: u32) -> Result<Option<Thread>> {
        let connection = self.connection();
        let mut thread = connection.prepare_cached(
            "SELECT id, title, starred, updated_at, labels, text, words, bytes FROM threads
             WHERE owner = ? AND id = ?",
        )?;
        let read = |row: &Row<'_>| {
            let labels: String = row.get(4)?;
            let labels = serde_json::from_str(&labels).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Text, Box::new(error))
            })?;
            Ok(Thread {
                summary: summary(row)?,
                labels,
                text: row.get(5)?,
                words: row.get(6)?,
                bytes: row.get(7)?,
            })
        };
        thread.query_row(params![owner, id], read).optional()
    }

    pub fn add(&self, owner: &str, thread: &NewThread) -> Result<Option<Thread>> {
        let id = insert(&self.connection(), owner, thread)?;
        self.read(owner, id)
    }

    pub fn rename(&self, owner: &str, new: &Rename) -> Result<bool> {
        let labels = new.labels.as_ref().map(|labels| serde_json::json!(labels).to_string());
        let changed = self.connection().execute(
            "UPDATE threads SET title = ?, labels = COALESCE(?, labels), updated_at = ? WHERE owner = ? AND id = ?",
            params![new.title, labels, now(), owner, new.id],
        )?;
        Ok(changed > 0)
    }

    pub fn star(&self, owner: &str, id: u32, starred: bool) -> Result<bool> {
        let changed = self.connection().execute(
            "UPDATE threads SET starred = ? WHERE owner = ? AND id = ?",
            params![starred, owner, id],
        )?;
        Ok(changed > 0)
    }

    pub fn remove(&self, owner: &str, id: u32) -> Result<bool> {
        let changed = self
            .connection()
            .execute("DELETE FROM threads WHERE owner = ? AND id = ?", params![owner, id])?;
        Ok(changed > 0)
    }

    /// A call has begun to wait.
    pub fn begin_wait(&self, owner: &str) -> Result<i64> {
        let connection = self.connection();
        connection.execute("INSERT INTO waits (owner) VALUES (?)", [owner])?;
        Ok(connection.last_insert_rowid())
    }

    /// Its caller has gone.
    pub fn end_wait(&self, id: i64) -> Result<()> {
        self.connection().execute("UPDATE waits SET cancelled = 1 WHERE id = ?", [id])?;
        Ok(())
    }

    pub fn waits(&self, owner: &str) -> Result<WaitCounts> {
        self.connection().query_row(
            "SELECT COUNT(*) - COALESCE(SUM(cancelled), 0), COALESCE(SUM(cancelled), 0) FROM waits WHERE owner = ?",
            [owner],
            |row| Ok(WaitCounts { running: row.get(0)?, cancelled: row.get(1)? }),
        )
    }
}

impl NewThread {
    fn titled(title: &str) -> Self {
        Self { title: title.to_owned(), text: String::new(), words: 0, bytes: 0 }
    }
}

fn insert(connection: &Connection, owner: &str, thread: &NewThread) -> Result<u32> {
    connection.query_row(
        "INSERT INTO threads (owner, title, text, words, bytes, updated_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        params![owner, thread.title, thread.text, thread.words, thread.bytes, now()],
        |row| row.get(0),
    )
}

fn summary(row: &Row<'_>) -> Result<Summary> {
    Ok(Summary {
        id: row.get(0)?,
        title: row.get(1)?,
        starred: row.get(2)?,
        updated_at: Date::from_millis(row.get(3)?),
    })
}

fn now() -> i64 {
    Date::from(SystemTime::now()).millis().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::of(Connection::open_in_memory().unwrap()).unwrap()
    }

    fn everything() -> List {
        List { query: None, starred: None, limit: None }
    }

    #[test]
    fn an_owner_is_welcomed_once_and_sees_own_threads_alone() {
        let store = store();
        store.welcome("ada").unwrap();
        store.welcome("ada").unwrap();
        let page = store.list("ada", &everything()).unwrap();
        assert_eq!(page.total, 4);
        let id = page.threads[0].id;
        assert_eq!(store.list("grace", &everything()).unwrap().total, 0);
        assert_eq!(store.read("grace", id).unwrap(), None);
        assert!(!store.star("grace", id, true).unwrap());
        assert!(!store.remove("grace", id).unwrap());
        let renamed = Rename { id, title: "Mine".into(), labels: None };
        assert!(!store.rename("grace", &renamed).unwrap());
        assert_eq!(store.read("ada", id).unwrap().unwrap().summary, page.threads[0]);
    }

    #[test]
    fn lists_are_narrowed_by_words_and_stars() {
        let store = store();
        store.welcome("ada").unwrap();
        let page = store.list("ada", &List { query: Some("window".into()), ..everything() }).unwrap();
        assert_eq!((page.total, page.threads[0].title.as_str()), (1, "Windows under load"));
        assert!(store.star("ada", page.threads[0].id, true).unwrap());
        let starred = List { starred: Some(true), ..everything() };
        assert_eq!(store.list("ada", &starred).unwrap().total, 1);
        let two = store.list("ada", &List { limit: Some(2), ..everything() }).unwrap();
        assert_eq!((two.threads.len(), two.total), (2, 4));
        // Signs of a pattern are text.
        assert_eq!(store.list("ada", &List { query: Some("%".into()), ..everything() }).unwrap().total, 4);
    }

    #[test]
    fn labels_stay_when_nobody_names_new_ones() {
        let store = store();
        let new = NewThread { title: "Old".into(), text: "two words".into(), words: 2, bytes: 9 };
        let id = store.add("ada", &new).unwrap().unwrap().summary.id;
        let labels = Some(vec!["sql".to_owned()]);
        store.rename("ada", &Rename { id, title: "New".into(), labels: labels.clone() }).unwrap();
        store.rename("ada", &Rename { id, title: "Newer".into(), labels: None }).unwrap();
        let thread = store.read("ada", id).unwrap().unwrap();
        assert_eq!((thread.summary.title.as_str(), Some(thread.labels)), ("Newer", labels));
        assert_eq!((thread.text.as_str(), thread.words), ("two words", 2));
        assert!(store.remove("ada", id).unwrap());
        assert_eq!(store.read("ada", id).unwrap(), None);
    }

    #[test]
    fn waits_are_counted_by_owner() {
        let store = store();
        let wait = store.begin_wait("ada").unwrap();
        store.begin_wait("ada").unwrap();
        store.begin_wait("grace").unwrap();
        store.end_wait(wait).unwrap();
        assert_eq!(store.waits("ada").unwrap(), WaitCounts { running: 1, cancelled: 1 });
    }
}
