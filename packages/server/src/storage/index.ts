/** What the author of a storage needs beside the ports: codecs, the rules of a stream's head, and findings for `doctor`. */
export { type Medium, makeTransportSignals } from "../adapters/TransportSignals.ts"
export { advance, emptyHead, place, purgesBefore } from "../domain/Stream.ts"
export type { Finding } from "./Diagnosis.ts"
export { packPayload, unpackPayload } from "./SealedMessageCodec.ts"
