/** Listens for connections until the scope closes. */
import type { AddressInfo, Server } from "node:net"
import { Effect, Schema } from "effect"
import { errorText } from "../domain/errorText.ts"

/** The server cannot listen on its port, for example because another process does. */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  port: Schema.Finite,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `Cannot listen on port ${this.port}: ${errorText(this.cause)}`
  }
}

export interface Address {
  /** 0: a free port. */
  readonly port: number
  /** undefined: all interfaces. */
  readonly host?: string | undefined
}

/** Returns the port. */
export const listen = (server: Server, { host, port }: Address) =>
  Effect.acquireRelease(
    Effect.callback<number, ListenError>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(new ListenError({ port, cause }))))
      server.listen(port, host, () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    }),
    () => Effect.sync(() => server.close())
  )
