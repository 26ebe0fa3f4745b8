import { eventLogSuite } from "@sealog/server/testing"
import { PgStorage } from "@sealog/storage-pg"
import { Effect, Layer } from "effect"
import { freshCitusDatabase } from "../support/storage/citus.ts"

eventLogSuite("Citus", Layer.unwrap(Effect.map(freshCitusDatabase, (url) => PgStorage.layerWithoutMigrations({ url }))))
