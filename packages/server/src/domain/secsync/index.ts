/** The rules of a Secsync document as one namespace: `import * as Secsync`. */
export * from "./Commands.ts"
export * from "./Decide.ts"
export * from "./Events.ts"
export * from "./Proofs.ts"
export * from "./State.ts"
