/** Holds the place of the Postgres storage; nothing is exported until the log passes the same suite as SQLite's. */
export {}
