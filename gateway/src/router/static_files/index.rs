//! What static files there are, made once at the start: a request's path is looked up here and nowhere else.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::disk::DiskFile;
use super::encodings::{self, Encodings};
use super::naming;
use crate::middleware::compression::is_compressible;

/// A larger file is never held in memory, in bytes.
const MAX_MEMORY_FILE: u64 = 1 << 20;

/// How the index is made.
#[derive(Debug, Clone)]
pub struct IndexSettings {
    /// Files live below this path: empty, or without a slash at its end.
    pub base_path: String,
    /// The most bytes of files held in memory.
    pub memory: u64,
}

/// A file.
#[derive(Debug)]
pub struct Entry {
    /// `Content-Type`.
    pub content_type: HeaderValue,
    /// `ETag`: strong, from the content.
    pub etag: HeaderValue,
    /// When it was changed last.
    pub modified: SystemTime,
    /// `Last-Modified`.
    pub last_modified: HeaderValue,
    /// `Cache-Control`.
    pub cache_control: &'static str,
    /// Whether its type is one that is worth compressing.
    pub is_compressible: bool,
    /// Bytes.
    pub length: u64,
    /// Where its bytes are.
    pub content: Content,
    /// The same, compressed.
    pub encodings: Encodings,
}

/// Where a file's bytes are.
#[derive(Debug, Clone)]
pub enum Content {
    /// Here.
    Memory(Bytes),
    /// On disk.
    Disk(DiskFile),
}

impl Entry {
    /// A file that lies in memory.
    pub fn in_memory(path: &str, bytes: Bytes, modified: SystemTime) -> Self {
        let digest = Sha256::digest(&bytes);
        Self::new(path, &digest, bytes.len() as u64, modified, Content::Memory(bytes))
    }

    fn new(path: &str, digest: &[u8], length: u64, modified: SystemTime, content: Content) -> Self {
        let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let ascii = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
        let content_type = ascii(&naming::content_type(path));
        Self {
            is_compressible: is_compressible(&content_type),
            content_type,
            etag: ascii(&format!("\"{tag}\"")),
            modified,
            last_modified: ascii(&httpdate::fmt_http_date(modified)),
            cache_control: naming::cache_control(path),
            length,
            content,
            encodings: Encodings::default(),
        }
    }

    /// This content as the encoded form of `original`: it is described as that is, under a tag of its own.
    pub fn encoded_form_of(&self, original: &Self) -> Self {
        Self {
            content_type: original.content_type.clone(),
            is_compressible: original.is_compressible,
            etag: self.etag.clone(),
            modified: original.modified,
            last_modified: original.last_modified.clone(),
            cache_control: original.cache_control,
            length: self.length,
            content: self.content.clone(),
            encodings: Encodings::default(),
        }
    }

    /// Whether the file's name changes with its content.
    pub fn is_immutable(&self) -> bool {
        self.cache_control == naming::IMMUTABLE
    }

    /// The tag with its quotes.
    pub fn tag(&self) -> &str {
        self.etag.to_str().unwrap_or_default()
    }
}

/// Every static file by its decoded path.
#[derive(Debug, Default)]
pub struct Index {
    /// Only what the build has is ever put in, so that a quick hash is safe from those who choose paths.
    entries: HashMap<String, Arc<Entry>, foldhash::fast::FixedState>,
    files: usize,
    memory: u64,
}

impl Index {
    /// Walks `dir`. Left out, each with a log line where it may surprise: names that begin with a dot except
    /// `.well-known`, names that are not UTF-8, links that lead outside, and what is neither file nor directory.
    ///
    /// # Errors
    /// When a file or directory cannot be read; the error names it.
    pub fn of(dir: &Path, settings: &IndexSettings) -> io::Result<Self> {
        let root = dir.canonicalize().map_err(|error| named(dir, &error))?;
        let mut found = Vec::new();
        walk(&root, &root, "", 0, &mut found)?;
        // Small files first: more of them fit.
        found.sort_by(|a, b| (a.length, &a.name).cmp(&(b.length, &b.name)));
        let mut index = Self::default();
        let mut loaded: Vec<(String, Entry)> = Vec::with_capacity(found.len());
        for file in found {
            let in_memory = file.length <= MAX_MEMORY_FILE && index.memory + file.length <= settings.memory;
            let entry = file.load(in_memory).map_err(|error| named(&file.path, &error))?;
            if in_memory {
                index.memory += entry.length;
            }
            loaded.push((file.name, entry));
        }
        let built = encodings::find(&loaded);
        for ((name, mut entry), built) in loaded.into_iter().zip(built) {
            entry.encodings = built;
            index.insert(&settings.base_path, &name, Arc::new(entry));
        }
        Ok(index)
    }

    /// The file at this decoded path.
    pub fn get(&self, path: &str) -> Option<&Arc<Entry>> {
        self.entries.get(path)
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.files
    }

    /// How many bytes of them lie in memory.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// A prerendered `dir/index.html` answers for `dir` and `dir/` too, unless a file has that path.
    fn insert(&mut self, base: &str, name: &str, entry: Arc<Entry>) {
        if let Some(dir) = name.strip_suffix("index.html")
            && (dir.is_empty() || dir.ends_with('/'))
        {
            let with_slash = format!("{base}/{dir}");
            let without = with_slash.trim_end_matches('/');
            if !without.is_empty() {
                self.entries.entry(without.to_owned()).or_insert_with(|| Arc::clone(&entry));
            }
            self.entries.insert(with_slash, Arc::clone(&entry));
        }
        self.entries.insert(format!("{base}/{name}"), entry);
        self.files += 1;
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A file that the walk has found.
#[derive(Debug)]
struct Found {
    /// Its path below the root, with slashes.
    name: String,
    path: PathBuf,
    length: u64,
    modified: SystemTime,
}

impl Found {
    fn load(&self, in_memory: bool) -> io::Result<Entry> {
        if in_memory {
            return Ok(Entry::in_memory(&self.name, fs::read(&self.path)?.into(), self.modified));
        }
        let mut file = File::open(&self.path)?;
        let (mut digest, mut piece) = (Sha256::new(), vec![0; 64 * 1024]);
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => digest.update(&piece[..read]),
            }
        }
        let content = Content::Disk(DiskFile::new(self.path.clone(), self.length, self.modified));
        Ok(Entry::new(&self.name, &digest.finalize(), self.length, self.modified, content))
    }
}

/// Deeper directories are refused: links may lead in a circle.
const MAX_DEPTH: usize = 64;

fn walk(root: &Path, dir: &Path, prefix: &str, depth: usize, found: &mut Vec<Found>) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(named(dir, &io::Error::other(format!("more than {MAX_DEPTH} directories deep"))));
    }
    for item in fs::read_dir(dir).map_err(|error| named(dir, &error))? {
        let path = item.map_err(|error| named(dir, &error))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            tracing::warn!(file = %path.display(), "a static file is left out: its name is not UTF-8");
            continue;
        };
        if name.starts_with('.') && name != ".well-known" {
            continue;
        }
        let Some(real) = inside(root, &path) else { continue };
        let name = format!("{prefix}{name}");
        let meta = real.metadata().map_err(|error| named(&path, &error))?;
        if meta.is_dir() {
            walk(root, &real, &format!("{name}/"), depth + 1, found)?;
        } else if meta.is_file() {
            let modified = meta.modified().map_err(|error| named(&path, &error))?;
            found.push(Found { name, path: real, length: meta.len(), modified });
        }
    }
    Ok(())
}

/// Where a path leads, if that is below the root and, on the way there, nothing is hidden.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let reason = match path.canonicalize() {
        Ok(real) => match real.strip_prefix(root) {
            Ok(below) if !is_hidden(below) => return Some(real),
            Ok(_) => "it leads to a hidden file",
            Err(_) => "it leads outside",
        },
        Err(_) => "it leads nowhere",
    };
    tracing::warn!(file = %path.display(), "a static file is left out: {reason}");
    None
}

fn is_hidden(path: &Path) -> bool {
    path.iter().any(|part| part != ".well-known" && part.to_str().is_some_and(|part| part.starts_with('.')))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn index(dir: &tempfile::TempDir, base_path: &str, memory: u64) -> Index {
        Index::of(dir.path(), &IndexSettings { base_path: base_path.into(), memory }).unwrap()
    }

    #[test]
    fn files_are_found_by_their_path_and_nothing_else_is() {
        let dir = dir(&[("a.js", "1"), ("deep/b.css", "22"), (".env", "secret"), (".well-known/x.txt", "3")]);
        let index = index(&dir, "", 1 << 20);
        assert_eq!(index.files(), 3);
        for path in ["/a.js", "/deep/b.css", "/.well-known/x.txt"] {
            assert!(index.get(path).is_some(), "{path}");
        }
        for path in ["/.env", "/deep", "/deep/", "/", "/A.js", "/a.js/", "a.js", "/../a.js"] {
            assert!(index.get(path).is_none(), "{path}");
        }
    }

    #[test]
    fn prerendered_pages_answer_for_their_directory() {
        let dir = dir(&[("index.html", "home"), ("about/index.html", "about"), ("myindex.html", "x")]);
        let index = index(&dir, "", 1 << 20);
        for path in ["/", "/index.html", "/about", "/about/", "/about/index.html", "/myindex.html"] {
            assert!(index.get(path).is_some(), "{path}");
        }
        assert!(index.get("/my").is_none());
        assert!(index.get("").is_none());
    }

    #[test]
    fn a_base_path_moves_everything() {
        let dir = dir(&[("index.html", "home"), ("a.js", "1")]);
        let index = index(&dir, "/shop", 1 << 20);
        for path in ["/shop", "/shop/", "/shop/a.js"] {
            assert!(index.get(path).is_some(), "{path}");
        }
        assert!(index.get("/a.js").is_none() && index.get("/").is_none());
    }

    #[test]
    fn links_count_only_within() {
        let outside = dir(&[("secret.txt", "x")]);
        let dir = dir(&[("a.js", "1"), (".env", "secret")]);
        symlink(outside.path().join("secret.txt"), dir.path().join("out.txt")).unwrap();
        symlink(outside.path(), dir.path().join("outdir")).unwrap();
        symlink(dir.path().join("a.js"), dir.path().join("b.js")).unwrap();
        symlink(dir.path().join(".env"), dir.path().join("env.txt")).unwrap();
        symlink("nowhere", dir.path().join("broken")).unwrap();
        let index = index(&dir, "", 1 << 20);
        assert!(index.get("/b.js").is_some());
        for path in ["/out.txt", "/outdir/secret.txt", "/env.txt", "/broken"] {
            assert!(index.get(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let dir = dir(&[("a/b.js", "1")]);
        symlink(dir.path(), dir.path().join("a/up")).unwrap();
        let settings = IndexSettings { base_path: String::new(), memory: 0 };
        assert!(Index::of(dir.path(), &settings).unwrap_err().to_string().contains("deep"));
    }

    #[test]
    fn memory_is_bounded_and_tags_are_the_same_from_disk() {
        let files = [("small.txt", "12"), ("large.txt", "12345678")];
        let (first, second) = (dir(&files), dir(&files));
        let (tight, loose) = (index(&first, "", 4), index(&second, "", 100));
        assert_eq!((tight.memory(), loose.memory()), (2, 10));
        assert!(matches!(tight.get("/small.txt").unwrap().content, Content::Memory(_)));
        assert!(matches!(tight.get("/large.txt").unwrap().content, Content::Disk(_)));
        assert_eq!(tight.get("/large.txt").unwrap().etag, loose.get("/large.txt").unwrap().etag);
    }
}
