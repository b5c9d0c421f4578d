//! What jobs write in one turn of JavaScript, on its way to their links: the pieces of one page leave in one frame, also
//! where pieces of other pages come between them. A frame costs the gateway about as much as a field of a response.

use bytes::BytesMut;
use shared::frame::{HEADER_BYTES, extend_last};
use shared::message::FromRenderer;
use shared::window::MAX_CHUNK_BYTES;

/// So much of a job is copied to be joined at the turn's end, in bytes. Longer pages are written to their link at once,
/// whose last frame they go on with mostly.
const GATHERED_BYTES: usize = 16 * 1024;

/// What one job has written in this turn, and its link does not have yet.
#[derive(Debug, Default)]
pub(super) struct Pieces(Vec<u8>);

/// Where a piece goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub key: u32,
    pub link: usize,
    pub id: u64,
}

/// The last frame that waits on a link, when it is a piece of a job's body: what the job writes next joins it.
#[derive(Debug, Clone, Copy)]
struct OpenBody {
    link: usize,
    id: u64,
    /// Where it starts and ends among the link's waiting bytes.
    start: usize,
    end: usize,
}

/// What the jobs of an isolate have written in this turn.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    open: Option<OpenBody>,
    /// The jobs with pieces, by their keys; some may be over.
    waiting: Vec<u32>,
}

impl Gathered {
    /// Takes a piece over, of at most [`MAX_CHUNK_BYTES`]. `out` is what waits on the job's link.
    pub fn write(&mut self, out: &mut BytesMut, pieces: &mut Pieces, of: Origin, piece: &[u8]) {
        if pieces.0.is_empty() && self.join(out, of, piece) {
            return;
        }
        if pieces.0.len() + piece.len() <= GATHERED_BYTES {
            if pieces.0.is_empty() {
                self.waiting.push(of.key);
            }
            return pieces.0.extend_from_slice(piece);
        }
        self.settle(out, pieces, of);
        if !self.join(out, of, piece) {
            self.begin(out, of, piece);
        }
    }

    /// Hands what was gathered of a job to its link: before anything else that must come behind it.
    pub fn settle(&mut self, out: &mut BytesMut, pieces: &mut Pieces, of: Origin) {
        if !pieces.0.is_empty() {
            self.begin(out, of, &std::mem::take(&mut pieces.0));
        }
    }

    /// The turn is over: the jobs to settle.
    pub fn end_turn(&mut self) -> Vec<u32> {
        self.open = None;
        std::mem::take(&mut self.waiting)
    }

    /// Takes the list of [`Self::end_turn`] back for the next turn, and its memory with it.
    pub fn begin_turn(&mut self, mut settled: Vec<u32>) {
        settled.clear();
        (self.open, self.waiting) = (None, settled);
    }

    fn join(&mut self, out: &mut BytesMut, of: Origin, piece: &[u8]) -> bool {
        let joins = |open: &&mut OpenBody| {
            let payload = open.end - open.start - HEADER_BYTES + piece.len();
            (open.link, open.id, open.end) == (of.link, of.id, out.len()) && payload <= MAX_CHUNK_BYTES
        };
        let Some(open) = self.open.as_mut().filter(joins) else { return false };
        extend_last(out, open.start, piece);
        open.end = out.len();
        true
    }

    fn begin(&mut self, out: &mut BytesMut, of: Origin, piece: &[u8]) {
        let start = out.len();
        FromRenderer::encode_body(out, of.id, piece);
        self.open = Some(OpenBody { link: of.link, id: of.id, start, end: out.len() });
    }
}
