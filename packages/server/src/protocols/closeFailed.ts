/** Closes the connection of a session that its room has ended. */
import type { FailReason } from "../rooms/RoomProtocol.ts"
import { CloseCode } from "./Connection.ts"

interface Closable {
  readonly close: (code: CloseCode, reason: string) => void
}

/** A client comes back by itself after 1013, as after 1011, which stands for a defect of the server. */
export const closeFailed = (connection: Closable, why: FailReason): void => {
  switch (why) {
    case "memory":
      return connection.close(CloseCode.tryAgainLater, "the server has too little memory")
    case "restored":
      return connection.close(CloseCode.tryAgainLater, "the log was restored")
    case "behind":
      return connection.close(CloseCode.tryAgainLater, "the server was behind the log")
    case "defect":
      return connection.close(CloseCode.internalError, "internal error")
  }
}
