/** The keys of signed checkpoints: the signer's from a file, the verifier's as a text. */
import { parseSigner, parseVerifier, type Signer, type Verifier } from "@sealog/server/admin"
import { CliFailure } from "../output/CliFailure.ts"
import { readSecretFile } from "./secrets.ts"

/** The private key in a file. Fails with `SECRET_FILE_UNREADABLE` or `CHECKPOINT_KEY_INVALID`. */
export const signerOf = (path: string): Signer => {
  const signer = parseSigner(readSecretFile(path, "--key-file"))
  if (signer !== undefined) return signer
  throw new CliFailure({
    code: "CHECKPOINT_KEY_INVALID",
    message: `${path} holds no private key for checkpoints.`,
    exitCode: 2,
    tryThis: "a file that `sync-admin checkpoint key` wrote"
  })
}

/** Fails with `CHECKPOINT_KEY_INVALID`. */
export const verifierOf = (text: string | undefined): Verifier => {
  const verifier = parseVerifier(text ?? "")
  if (verifier !== undefined) return verifier
  throw new CliFailure({
    code: "CHECKPOINT_KEY_INVALID",
    message: "The verifier is not a public key for checkpoints.",
    exitCode: 2,
    tryThis: "--verifier NAME+HASH+KEY, as `sync-admin checkpoint key` printed it"
  })
}
