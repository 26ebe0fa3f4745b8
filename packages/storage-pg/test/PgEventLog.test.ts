import { eventLogSuite } from "@sealog/server/testing"
import { Effect, Layer } from "effect"
import { freshDatabase } from "../../../test/support/postgres.ts"
import { PgStorage } from "../src/index.ts"

eventLogSuite("Postgres", Layer.unwrap(Effect.map(freshDatabase, (url) => PgStorage.layerWithoutMigrations({ url }))))
