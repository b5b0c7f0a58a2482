//! Server-sent events, as they come off the wire.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SseEvent {
    /// Its name; empty where the stream gives none.
    pub(super) name: String,
    /// The place after it, where the stream gives one.
    pub(super) id: Option<String>,
    /// Its lines.
    pub(super) data: String,
}

/// Takes bytes in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    rest: Vec<u8>,
    event: SseEvent,
    has_data: bool,
}

impl SseParser {
    /// The events that these bytes complete. One that the stream breaks off in is never returned.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut lines = rest.split(|&byte| byte == b'\n');
        // What follows the last line break is not a line yet.
        let unfinished = lines.next_back().unwrap_or_default().to_vec();
        let events = lines.filter_map(|line| self.line(&String::from_utf8_lossy(line))).collect();
        self.rest = unfinished;
        events
    }

    fn line(&mut self, line: &str) -> Option<SseEvent> {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": a comment\r\n\nevent: batch\nid: e.2\ndata: {\"a\":\ndata: 1}\n\nretry: 100\ndata:x\n\nevent: cut";

    fn read(sizes: usize) -> Vec<SseEvent> {
        let mut parser = SseParser::default();
        STREAM.as_bytes().chunks(sizes).flat_map(|bytes| parser.push(bytes)).collect()
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let batch = SseEvent { name: "batch".into(), id: Some("e.2".into()), data: "{\"a\":\n1}".into() };
        let plain = SseEvent { data: "x".into(), ..SseEvent::default() };
        for sizes in 1..=STREAM.len() {
            assert_eq!(read(sizes), [batch.clone(), plain.clone()], "pieces of {sizes}");
        }
    }
}
