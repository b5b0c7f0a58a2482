//! The events that we use, read leniently: a newer Chromium adds and renames fields that we do not need.

use std::borrow::Cow;
use std::fmt;

use chromiumoxide::types::{EventMessage, Method, MethodId};
use serde::Deserialize;
use serde_json::Value;

/// Any event, as it comes.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) method: String,
    #[serde(rename = "sessionId")]
    pub(super) session: Option<String>,
    #[serde(default)]
    pub(super) params: Value,
}

/// Without its content: chromiumoxide prints what it receives at trace level.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.method)
    }
}

impl Method for Event {
    fn identifier(&self) -> MethodId {
        Cow::Owned(self.method.clone())
    }
}

impl EventMessage for Event {
    fn session_id(&self) -> Option<&str> {
        self.session.as_deref()
    }
}

/// `Target.attachedToTarget`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Attached {
    pub(super) session_id: String,
    pub(super) target_info: TargetInfo,
}

/// The part of a target's description that we need.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetInfo {
    pub(super) target_id: String,
    pub(super) opener_id: Option<String>,
}

/// `Target.targetCrashed`, `Target.targetDestroyed`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TargetNamed {
    pub(super) target_id: String,
}

/// `Target.detachedFromTarget`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Detached {
    pub(super) session_id: String,
}

/// `Page.frameNavigated`
#[derive(Debug, Deserialize)]
pub(super) struct FrameNavigated {
    pub(super) frame: Frame,
}

/// A frame that shows a new document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame {
    pub(super) parent_id: Option<String>,
    pub(super) url: String,
    /// Set when an error page is shown in place of this address.
    pub(super) unreachable_url: Option<String>,
}

/// `Page.frameAttached`, `Page.frameStartedLoading`, `Page.frameStoppedLoading`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FrameNamed {
    pub(super) frame_id: String,
}

/// `Browser.downloadWillBegin`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DownloadWillBegin {
    #[serde(default)]
    pub(super) frame_id: String,
    pub(super) guid: String,
    #[serde(default)]
    pub(super) suggested_filename: String,
}

/// `Browser.downloadProgress`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DownloadProgress {
    pub(super) guid: String,
    #[serde(default)]
    pub(super) total_bytes: f64,
    #[serde(default)]
    pub(super) received_bytes: f64,
    pub(super) state: String,
}

/// `Page.javascriptDialogOpening`
#[derive(Debug, Deserialize)]
pub(super) struct DialogOpening {
    pub(super) message: String,
    pub(super) r#type: String,
}
