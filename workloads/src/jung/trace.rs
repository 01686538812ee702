//! Spans as JSON lines, to analyse where the time of a task goes.
//!
//! Every closed span is one line with its fields, `span` (its name), `start_us` (µs since the Unix epoch), `took_us`,
//! and `busy_us` (the time during which this process worked on it). A `task` span is a task that a service processed,
//! an `ask` span the time that it waited for another service. The same `id` in an `ask` and a `task` span belongs to the
//! same task; the difference of their durations is the transport time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Starts writing the spans of this process to a file.
///
/// # Errors
/// The file cannot be created, or a subscriber is already installed.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = Arc::new(Mutex::new(BufWriter::with_capacity(16 * 1024, File::create(path)?)));
    let lines = Lines(Arc::clone(&file));
    // Fails only for a second file, which the subscriber below refuses, too.
    let _ = FILE.set(file);
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}

/// Flushes the file. Call it before the process exits, because the global subscriber is never dropped.
pub fn flush() {
    if let Some(file) = FILE.get() {
        let _ = file.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }
}

type Shared = Arc<Mutex<BufWriter<File>>>;

/// The file of this process.
static FILE: OnceLock<Shared> = OnceLock::new();

/// The layer that writes a line for every closed span.
struct Lines(Shared);

/// State of an open span.
struct Open {
    began: SystemTime,
    since: Instant,
    entered: Option<Instant>,
    busy: Duration,
    fields: Map<String, Value>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        metadata.is_span() && metadata.target().starts_with(env!("CARGO_PKG_NAME"))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Map::new();
        fields.insert("span".into(), span.name().into());
        attributes.record(&mut Fields(&mut fields));
        let (began, since) = (SystemTime::now(), Instant::now());
        span.extensions_mut().insert(Open {
            began,
            since,
            entered: None,
            busy: Duration::ZERO,
            fields,
        });
    }

    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {}

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            open.entered = Some(Instant::now());
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
            && let Some(entered) = open.entered.take()
        {
            open.busy += entered.elapsed();
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else {
            return;
        };
        let mut fields = open.fields;
        let began = open.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        fields.insert("start_us".into(), microseconds(began));
        fields.insert("took_us".into(), microseconds(open.since.elapsed()));
        fields.insert("busy_us".into(), microseconds(open.busy));
        let mut line = Value::Object(fields).to_string();
        line.push('\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk must not stop the service; the trace is then incomplete.
        let _ = file.write_all(line.as_bytes());
    }
}

fn microseconds(time: Duration) -> Value {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).into()
}

/// Collects the fields of a span.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}
