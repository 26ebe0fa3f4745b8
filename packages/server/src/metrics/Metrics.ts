/**
 * Every metric of the server, with its description, its unit and the values of its labels. docs/metrics.md is the same as a
 * table, and a test compares the two. No label holds an id, or a text of a client.
 */
import { performance } from "node:perf_hooks"
import { getHeapStatistics } from "node:v8"
import { Effect } from "effect"
import { eventLoopDelay } from "./EventLoopDelay.ts"
import { counter, gauge, histogram } from "./Family.ts"

export const PROTOCOLS = ["secsync", "verdant"] as const
export type ProtocolName = (typeof PROTOCOLS)[number]

// ------------------------------------------------------------------------------------------------------------ standbys

export const standbyBehindSeconds = gauge({
  name: "sealog_standby_behind_seconds",
  description: "Time since the copy last held all that its source held, by `sync-admin replicate`; 0 on a server",
  unit: "seconds",
  combine: "max"
})

export const standbyEvents = counter({
  name: "sealog_standby_events_total",
  description: "Events that `sync-admin replicate` copied",
  unit: "events"
})

export const standbyFailures = counter({
  name: "sealog_standby_failures_total",
  description: "Rounds of `sync-admin replicate` that failed, because one of the two databases was away",
  unit: "rounds"
})

/** A list whose values the caller may not know at compile time. A value that is not in it counts as `other`. */
const open = (...values: ReadonlyArray<string>): ReadonlyArray<string> => values

// --------------------------------------------------------------------------------------------- connections and requests

export const connections = gauge({
  name: "sealog_connections",
  description: "WebSockets of admitted clients that are open",
  unit: "connections",
  labels: { protocol: PROTOCOLS }
})

export const handshakes = gauge({
  name: "sealog_handshakes",
  description: "WebSockets and upgrades whose tokens are being checked, or whose sessions are not open yet",
  unit: "connections"
})

export const refusedConnections = gauge({
  name: "sealog_refused_connections",
  description: "WebSockets of refused clients that have not closed yet",
  unit: "connections"
})

export const connectionsOpened = counter({
  name: "sealog_connections_opened_total",
  description: "WebSockets whose clients were admitted",
  unit: "connections",
  labels: { protocol: PROTOCOLS }
})

/** The reasons for which a connection ends: the texts of the close frames, and those of connections that are dropped. */
export const CLOSE_REASONS = {
  byClient: "the client closed",
  lost: "the connection was lost",
  frameTooLarge: "the frame is too large",
  notWebSocket: "the frame breaks the protocol of WebSockets",
  dead: "no byte has moved",
  sendBudget: "too much waits for all clients",
  refusedTooLong: "too many refused clients have not closed",
  shuttingDown: "the server is shutting down",
  /** Texts that `close` is called with. `test/edge/CloseReasons.test.ts` looks for them in the sources. */
  texts: [
    "a frame is JSON text",
    "a message has too many values",
    "a message is JSON text",
    "a message is an object with a type",
    "a message names its replica",
    "a presence has at most 32768 bytes",
    "a sync has a timestamp",
    "a sync is since a timestamp or null",
    "an ephemeral message is not signed by its key",
    "an operator closed the connection",
    "an op has a timestamp",
    "another document's message",
    "disconnecting",
    "internal error",
    "not a snapshot, update or ephemeral message",
    "not allowed",
    "sync first",
    "the access policy gave no answer",
    "the app's hook gave no answer",
    "the client does not keep up",
    "the document does not exist",
    "the document was deleted",
    "the keys are not available",
    "the library is suspended",
    "the library was deleted",
    "the library was evicted",
    "the log is damaged",
    "the log was restored",
    "the message arrives too slowly while others wait",
    "the message comes in too many pieces",
    "the path names no document",
    "the replica must be reset",
    "the schema version of a timestamp is far above the library's",
    "the server has too little memory",
    "the server is too busy",
    "the server was behind the log",
    "the storage is not available",
    "the token has ended",
    "the token is not valid",
    "the token was revoked",
    "too many documents wait to be opened",
    "too many events wait behind the document",
    "too many malformed or wrongly signed messages",
    "too many refused messages",
    "too much waits for an answer",
    "too much waits for the access policy",
    "too much waits for the app's hook"
  ]
} as const

const { texts, ...dropped } = CLOSE_REASONS

export const connectionsClosed = counter({
  name: "sealog_connections_closed_total",
  description: "WebSockets that have ended, admitted or not, by the code and the reason of their end",
  unit: "connections",
  labels: {
    protocol: PROTOCOLS,
    code: open(
      ...[
        "1000",
        "1001",
        "1002",
        "1003",
        "1005",
        "1006",
        "1007",
        "1008",
        "1009",
        "1011",
        "1012",
        "1013",
        "4401",
        "4403",
        "4404"
      ]
    ),
    reason: open(...Object.values(dropped), ...texts)
  },
  initially: PROTOCOLS.map((protocol) => ({ protocol, code: "1000", reason: CLOSE_REASONS.byClient }))
})

const ROUTES = ["connection", "upgrade", "health", "metrics", "poll", "files", "changes", "other"] as const
export type Route = (typeof ROUTES)[number]

export const requests = counter({
  name: "sealog_requests_total",
  description: "HTTP requests that were answered, refused ones included; no upgrades",
  unit: "requests",
  labels: { route: ROUTES }
})

export const requestsInProgress = gauge({
  name: "sealog_requests_in_progress",
  description: "HTTP requests that are not answered yet",
  unit: "requests"
})

const REFUSAL_REASONS = [
  "connections",
  "deleted",
  "handshakes",
  "requests",
  "address_connections",
  "address_handshakes",
  "address_requests",
  "memory",
  "origin",
  "path",
  "token",
  "policy",
  "unavailable",
  "shutdown",
  "malformed",
  "slow",
  "pipelined",
  "route"
] as const
export type RefusalReason = (typeof REFUSAL_REASONS)[number]

export const requestsRefused = counter({
  name: "sealog_requests_refused_total",
  description:
    "TCP connections, upgrades and HTTP requests that were refused, by the status of the answer; `route`: the route itself answered so",
  unit: "requests",
  labels: {
    route: ROUTES,
    status: open(
      ...["none", "400", "401", "403", "404", "405", "408", "413", "415", "416", "421", "429", "431"],
      ...["500", "501", "503"]
    ),
    reason: REFUSAL_REASONS
  },
  initially: [
    { route: "connection", status: "429", reason: "address_connections" },
    { route: "upgrade", status: "429", reason: "address_connections" },
    { route: "upgrade", status: "429", reason: "address_handshakes" },
    { route: "upgrade", status: "503", reason: "connections" },
    { route: "upgrade", status: "503", reason: "handshakes" },
    { route: "upgrade", status: "503", reason: "memory" }
  ]
})

export const responsesCut = counter({
  name: "sealog_responses_cut_total",
  description:
    "HTTP responses whose connection the server ended, because the client took nothing or too little of them",
  unit: "requests",
  labels: { cause: ["stalled", "trickling", "send_budget"] }
})

// ------------------------------------------------------------------------------------------------- changes for backends

export const changeStreams = gauge({
  name: "sealog_change_streams",
  description: "Backends that receive changes as server-sent events (`GET /changes`)",
  unit: "requests"
})

export const webhooks = gauge({
  name: "sealog_webhooks",
  description: "Webhooks that this process delivers to, or would if the process that does so ended",
  unit: "webhooks",
  combine: "max"
})

export const webhookDeliveries = counter({
  name: "sealog_webhook_deliveries_total",
  description: "Attempts to deliver a change to a webhook",
  unit: "attempts",
  labels: { outcome: ["delivered", "failed"] }
})

export const webhookLibrariesWaiting = gauge({
  name: "sealog_webhook_libraries_waiting",
  description: "Libraries with changes that this process delivers, or will try again; once for each webhook",
  unit: "libraries"
})

export const webhookLibrariesStopped = gauge({
  name: "sealog_webhook_libraries_stopped",
  description:
    "Dead letters: libraries whose changes wait for `sync-admin webhook replay`, because a webhook did not take one of them; once for each webhook",
  unit: "libraries",
  combine: "max"
})

export const webhookLagSeconds = gauge({
  name: "sealog_webhook_lag_seconds",
  description:
    "Age of the oldest change that this process delivers and that a webhook has not taken yet; 0: there is none",
  unit: "seconds",
  combine: "max"
})

// ---------------------------------------------------------------------------------------------------- frames and messages

export const framesReceived = counter({
  name: "sealog_frames_received_total",
  description: "Frames of clients",
  unit: "frames",
  labels: { protocol: PROTOCOLS }
})

export const bytesReceived = counter({
  name: "sealog_received_bytes_total",
  description: "Bytes of the frames of clients",
  unit: "bytes",
  labels: { protocol: PROTOCOLS }
})

export const framesSent = counter({
  name: "sealog_frames_sent_total",
  description: "Frames sent to clients",
  unit: "frames",
  labels: { protocol: PROTOCOLS }
})

export const bytesSent = counter({
  name: "sealog_sent_bytes_total",
  description: "Bytes of the frames sent to clients",
  unit: "bytes",
  labels: { protocol: PROTOCOLS }
})

export const framesDelayed = counter({
  name: "sealog_frames_delayed_total",
  description: "Waits of clients and their messages for a limit: each is one client that waited once",
  unit: "waits",
  labels: {
    cause: [
      "full_queue",
      "receive_budget",
      "memory_budget",
      "user_turn",
      "updates_in_flight",
      "write_reservation",
      "poll_answers"
    ]
  }
})

export const messagesDropped = counter({
  name: "sealog_messages_dropped_total",
  description: "Ephemeral messages and presences that were dropped on their way in (rate, replay) or out (slow client)",
  unit: "messages",
  labels: { cause: ["ephemeral_rate", "ephemeral_replay", "presence_rate", "slow_client"] }
})

/** Rules of the deciders, of tokens and of the wire formats. */
export const REFUSAL_RULES = {
  secsync: [
    "AccessPolicy",
    "AlreadyStored",
    "ClockAhead",
    "ClockTaken",
    "DocumentDeleted",
    "DocumentExists",
    "DocumentMissing",
    "MalformedSnapshot",
    "MalformedUpdate",
    "NothingToEvict",
    "NoSnapshot",
    "NotAMessage",
    "NotJson",
    "QuotaReached",
    "ReadOnly",
    "SignatureInvalid",
    "SigningKey",
    "SnapshotDue",
    "SnapshotIdUsed",
    "SnapshotMissesUpdates",
    "SnapshotOutdated",
    "SnapshotProofInvalid",
    "UpdateOutdated",
    "WrongDocument"
  ],
  verdant: [
    "AccessPolicy",
    "AlreadyBeingReset",
    "AnothersFile",
    "AnothersReplica",
    "AwaitRestore",
    "ImplausibleVersion",
    "LibraryDeleted",
    "Malformed",
    "MustReset",
    "NotJoined",
    "NotJson",
    "NotTaken",
    "NothingNew",
    "NothingToDo",
    "QuotaReached",
    "ReadOnly",
    "RestoreAsked",
    "TimeAhead",
    "TooLate"
  ]
} as const

export const refusals = counter({
  name: "sealog_refusals_total",
  description:
    "Messages that a rule refused. Some rules refuse in the ordinary course, such as `ClockTaken` after a reconnect",
  unit: "messages",
  labels: { protocol: PROTOCOLS, rule: open(...REFUSAL_RULES.secsync, ...REFUSAL_RULES.verdant) },
  initially: [
    { protocol: "secsync", rule: "QuotaReached" },
    { protocol: "secsync", rule: "SnapshotDue" },
    { protocol: "verdant", rule: "QuotaReached" },
    { protocol: "verdant", rule: "NotTaken" }
  ]
})

export const signaturesWaiting = gauge({
  name: "sealog_signatures_waiting",
  description: "Signatures that wait for a verifier thread",
  unit: "signatures"
})

export const signaturesVerified = counter({
  name: "sealog_signatures_verified_total",
  description: "Signatures that were verified, genuine or not, on a verifier thread or on the main thread",
  unit: "signatures",
  labels: { thread: ["verifier", "main"] }
})

// ----------------------------------------------------------------------------------------------------- events and commits

export const eventsStored = counter({
  name: "sealog_events_stored_total",
  description: "Events that this process has committed",
  unit: "events",
  labels: {
    type: open(
      ...["SnapshotStored", "UpdateStored", "Evicted", "Pruned"],
      ...["DocumentCreated", "Deleted", "AllowedAgain"],
      ...["OperationsStored", "ReplicaJoined", "ReplicaForgotten", "ReplicaMadeTruant", "CursorsAdvanced"],
      ...["Folded", "RestoreLeased", "FileStored", "FilesSwept"],
      ...["OperationsMerged", "CheckpointBegun", "CheckpointPart", "CheckpointEnded"]
    )
  }
})

/** Counts the events of an append. Most appends hold events of one type, so a series is looked up once for many of them. */
export const countStored = (events: ReadonlyArray<{ readonly event: { readonly type: string } }>): void => {
  let type = ""
  let count = 0
  for (const { event } of events) {
    if (event.type !== type) {
      if (count > 0) eventsStored.at({ type }).add(count)
      type = event.type
      count = 0
    }
    count += 1
  }
  if (count > 0) eventsStored.at({ type }).add(count)
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export const commitSeconds = histogram({
  name: "sealog_commit_seconds",
  description: "Time that a transaction of the log took, also a failed one",
  unit: "seconds",
  boundaries: SECONDS
})

export const commitEvents = histogram({
  name: "sealog_commit_events",
  description: "Events in one transaction of the log",
  unit: "events",
  boundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000]
})

export const commitStreams = histogram({
  name: "sealog_commit_streams",
  description: "Streams in one transaction of the log",
  unit: "streams",
  boundaries: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
})

export const commitUnderWaySeconds = gauge({
  name: "sealog_commit_under_way_seconds",
  description: "Age of the transaction that is under way; 0 if there is none. Above 10, the server is unhealthy",
  unit: "seconds",
  combine: "max"
})

export const appendsWaiting = gauge({
  name: "sealog_appends_waiting",
  description: "Streams whose events wait for the next transaction",
  unit: "streams"
})

export const conflicts = counter({
  name: "sealog_conflicts_total",
  description: "Appends that came too late, because another process had appended to the stream first",
  unit: "appends",
  labels: { protocol: PROTOCOLS }
})

export const storageErrors = counter({
  name: "sealog_storage_errors_total",
  description: "Calls of the storage that failed: it was not available, met damaged data, or had a defect",
  unit: "calls",
  labels: { kind: ["unavailable", "damage", "defect"] }
})

export const damagedStreams = gauge({
  name: "sealog_damaged_streams",
  description:
    "Streams, or files of the database, in which this process has found damage since it started. `sync-admin doctor` names all",
  unit: "streams",
  combine: "max"
})

export const scrubbedEvents = counter({
  name: "sealog_scrubbed_events_total",
  description: "Events that the scrub has read and compared with their hashes",
  unit: "events"
})

export const scrubsEnded = counter({
  name: "sealog_scrubs_total",
  description: "Times that the scrub has come to the end of the log",
  unit: "scrubs"
})

export const logEpoch = gauge({
  name: "sealog_log_epoch",
  description: "1, and one more for each time that the log was restored from a backup, as its marks say",
  unit: "restores",
  combine: "max"
})

export const streamsWentBack = counter({
  name: "sealog_streams_went_back_total",
  description:
    "Streams of which the log held less than this server, or another history: it was restored while the server ran",
  unit: "streams"
})

export const clientsAhead = counter({
  name: "sealog_clients_ahead_total",
  description:
    "Clients that know more than the log: asked for what they have, waiting until an operator says that the log was restored, or lost, because others went on without it",
  unit: "clients",
  labels: { protocol: PROTOCOLS, outcome: ["asked", "waiting", "lost"] },
  initially: PROTOCOLS.flatMap((protocol) =>
    (["asked", "waiting", "lost"] as const).map((outcome) => ({ protocol, outcome }))
  )
})

export const fanOutSeconds = histogram({
  name: "sealog_fan_out_seconds",
  description:
    "Time from the decision of an event until it was handed to the sockets of its stream; the first event of each transaction and stream",
  unit: "seconds",
  labels: { protocol: PROTOCOLS },
  boundaries: SECONDS
})

export const canarySeconds = histogram({
  name: "sealog_canary_seconds",
  description:
    "Time from a write of the canary until it was fanned out in this process: its own writes, or those of other processes, by the clocks of both",
  unit: "seconds",
  labels: { writer: ["own", "other"] },
  boundaries: SECONDS
})

export const canaryWaitingSeconds = gauge({
  name: "sealog_canary_waiting_seconds",
  description: "Age of the write of the canary that is not fanned out yet; 0 if there is none",
  unit: "seconds",
  combine: "max"
})

export const signalLagSeconds = histogram({
  name: "sealog_signal_lag_seconds",
  description:
    "Time from the decision of an event in another process until this one read it, by the clocks of both; the first event of each read",
  unit: "seconds",
  labels: { protocol: PROTOCOLS },
  boundaries: SECONDS
})

export const defects = counter({
  name: "sealog_defects_total",
  description: "Defects that ended a command, a session or a room. The log has the cause of each",
  unit: "defects"
})

// -------------------------------------------------------------------------------------------------------- rooms and memory

export const rooms = gauge({
  name: "sealog_rooms",
  description: "Streams that are open: Secsync documents, and Verdant libraries with their data in memory",
  unit: "streams",
  labels: { protocol: PROTOCOLS }
})

export const openingsWaiting = gauge({
  name: "sealog_openings_waiting",
  description: "Streams that clients have asked for, and that wait until the storage has opened earlier ones",
  unit: "streams"
})

export const roomWaitSeconds = gauge({
  name: "sealog_room_wait_seconds",
  description:
    "Longest time since which a stream has not answered though a command waits. Above 10, the server is unhealthy",
  unit: "seconds",
  combine: "max",
  labels: { protocol: PROTOCOLS }
})

export const openLibraryObjects = gauge({
  name: "sealog_open_library_objects",
  description: "Objects and lists of the Verdant libraries in memory, some 2.2 KB each",
  unit: "objects"
})

export const openLibraryBytes = gauge({
  name: "sealog_open_library_bytes",
  description: "Bytes in the log of the Verdant libraries in memory",
  unit: "bytes"
})

export const QUOTA_PARTS = [
  "objects",
  "operations",
  "bytes",
  "replicas",
  "files",
  "fileBytes",
  "events",
  "payloadBytes"
] as const
export const DOCUMENT_QUOTA_PARTS = ["documentBytes", "documentAuthors", "events", "payloadBytes"] as const

export const librariesNearQuota = gauge({
  name: "sealog_libraries_near_quota",
  description: "Open Verdant libraries that use 80 % or more of this part of their quota",
  unit: "libraries",
  labels: { part: QUOTA_PARTS }
})

export const documentsNearQuota = gauge({
  name: "sealog_documents_near_quota",
  description: "Open Secsync documents that use 80 % or more of this part of their library's quota",
  unit: "documents",
  labels: { part: DOCUMENT_QUOTA_PARTS }
})

const MEMORY_KINDS = [
  ...(["receive_budget", "unsent_frames", "waiting_frames", "updates_in_flight"] as const),
  ...(["operations_in_flight", "tails"] as const)
] as const

export const memoryBytes = gauge({
  name: "sealog_memory_bytes",
  description:
    "Memory that is counted against a limit: large messages that arrive or wait, frames that clients have not taken, frames that wait, updates on their way to the log, recent events",
  unit: "bytes",
  labels: { kind: MEMORY_KINDS }
})

export const memoryLimitBytes = gauge({
  name: "sealog_memory_limit_bytes",
  description: "The limit of each kind of memory",
  unit: "bytes",
  labels: { kind: MEMORY_KINDS }
})

/** Shows the memory of a kind, and its limit, until the scope closes. */
export const showMemory = (kind: (typeof MEMORY_KINDS)[number], held: () => number, limit: number) =>
  Effect.andThen(
    memoryBytes.at({ kind }).read(held),
    memoryLimitBytes.at({ kind }).read(() => limit)
  )

// ----------------------------------------------------------------------------------------------------------- the process

export const residentMemory = gauge({
  name: "process_resident_memory_bytes",
  description: "Resident memory of the process",
  unit: "bytes",
  combine: "each",
  read: () => process.memoryUsage.rss()
})

export const heapUsed = gauge({
  name: "sealog_heap_used_bytes",
  description: "Memory of the JavaScript heap that is in use",
  unit: "bytes",
  combine: "each",
  read: () => getHeapStatistics().used_heap_size
})

export const heapLimit = gauge({
  name: "sealog_heap_limit_bytes",
  description: "Limit of the JavaScript heap (`--max-old-space-size`)",
  unit: "bytes",
  combine: "each",
  read: () => getHeapStatistics().heap_size_limit
})

export const externalMemory = gauge({
  name: "sealog_external_memory_bytes",
  description: "Memory of buffers outside of the JavaScript heap",
  unit: "bytes",
  combine: "each",
  read: () => process.memoryUsage().external
})

export const cpuSeconds = counter({
  name: "process_cpu_seconds_total",
  description: "Processor time of the process, all threads",
  unit: "seconds",
  combine: "each",
  read: () => {
    const { system, user } = process.cpuUsage()
    return (system + user) / 1e6
  }
})

export const startTime = gauge({
  name: "process_start_time_seconds",
  description: "When the process started, seconds since 1970",
  unit: "seconds",
  combine: "each",
  read: () => performance.timeOrigin / 1000
})

export const eventLoopBusySeconds = counter({
  name: "sealog_event_loop_busy_seconds_total",
  description: "Time in which the event loop did work. A rate near 1 means that the main thread is saturated",
  unit: "seconds",
  combine: "each",
  read: () => performance.eventLoopUtilization().active / 1000
})

export const eventLoopDelaySeconds = gauge({
  name: "sealog_event_loop_delay_seconds",
  description: "Delay of timers by work on the event loop, over the last 10 to 20 seconds",
  unit: "seconds",
  combine: "each",
  labels: { statistic: ["median", "p99", "max"] },
  read: ({ statistic }) => eventLoopDelay(statistic)
})
