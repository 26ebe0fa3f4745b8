/**
 * Conformance suites of the ports, and helpers for those who implement or drive a part of the server.
 *
 * @module @sealog/server/testing
 */
export * from "./BlobStoreSuite.ts"
export * from "./EventLogSuite.ts"
export * from "./SealedMessages.ts"
export * from "./SignalsSuite.ts"
