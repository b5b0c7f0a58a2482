use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Frame, Subscription};
use crate::serve::Held;

/// What a device may send at once. Nothing of it is looked at, so it is enough to be polite.
const INCOMING: usize = 4 * 1024;

/// A device that answers no ping before the next one is gone.
const PING: Duration = Duration::from_secs(25);

/// What is read at once: a device sends nothing but answers to pings.
const READ_BUFFER: usize = 128;

/// The buffers of a connection: the library's own take 128 KiB of each, ours next to nothing. What is sent has to
/// fit as a whole, and the library keeps what its largest message took: mostly the first snapshot's.
pub(crate) fn upgrade(socket: WebSocketUpgrade) -> WebSocketUpgrade {
    socket
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(INCOMING)
        .max_frame_size(INCOMING)
}

/// A subscription as messages. A frame is made when the one before is on its way, as with server-sent events.
///
/// Socket and subscription come in boxes because a future keeps room for every place that its values are moved
/// to: handed on by value, they would be in each connection's task several times.
pub(crate) async fn ws(
    mut socket: Box<WebSocket>,
    mut subscription: Box<Subscription>,
    mut on_frame: impl FnMut(&Frame) + Send,
    held: Option<Held>,
) {
    let run = run(&mut socket, &mut subscription, &mut on_frame);
    match &held {
        Some(held) => drop(held.cut.run_until_cancelled(run).await),
        None => run.await,
    }
}

async fn run(
    socket: &mut WebSocket,
    subscription: &mut Subscription,
    on_frame: &mut (impl FnMut(&Frame) + Send),
) {
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = true;
    loop {
        tokio::select! {
            frame = subscription.next() => {
                let Some(frame) = frame else { break };
                on_frame(&frame);
                let json = frame.named().inspect_err(|error| tracing::error!(%error, "a frame is not JSON"));
                let Ok(json) = json else { break };
                if socket.send(Message::text(json)).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Pong(_))) => answered = true,
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            _ = pings.tick() => {
                if !std::mem::take(&mut answered) || socket.send(Message::Ping(vec![].into())).await.is_err() {
                    return;
                }
            }
        }
    }
    farewell(socket).await;
}

/// Says that nothing more comes, and waits for the device's own word, so that it reads all before the end.
async fn farewell(socket: &mut WebSocket) {
    let frame = CloseFrame { code: close_code::AWAY, reason: "bye".into() };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        let answer = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(Duration::from_secs(2), answer).await;
    }
}
