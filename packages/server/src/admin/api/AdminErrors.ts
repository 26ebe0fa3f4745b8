/** The errors of the HTTP API of operators, each with its status. */
import { Schema } from "effect"

/** There is no valid token of an operator. */
export class NotAdministrator extends Schema.TaggedError<NotAdministrator>()(
  "NotAdministrator",
  { message: Schema.String },
  { httpApiStatus: 401 }
) {}

/** The log has no such library, document or webhook. */
export class NotInLog extends Schema.TaggedError<NotInLog>()(
  "NotInLog",
  { message: Schema.String, what: Schema.Literals(["library", "document", "webhook"]) },
  { httpApiStatus: 404 }
) {}

/** The library's Verdant data cannot be read. `sync-admin replay` names what is damaged. */
export class LibraryDamaged extends Schema.TaggedError<LibraryDamaged>()(
  "LibraryDamaged",
  { message: Schema.String },
  { httpApiStatus: 500 }
) {}

/** The log has as many webhooks as a server delivers to. */
export class WebhooksFull extends Schema.TaggedError<WebhooksFull>()(
  "WebhooksFull",
  { message: Schema.String },
  { httpApiStatus: 409 }
) {}

/** The storage did not answer. The same request may succeed later. */
export class Unavailable extends Schema.TaggedError<Unavailable>()(
  "Unavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}
