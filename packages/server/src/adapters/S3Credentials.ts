/** The credentials for S3: keys that an operator sets, or those that the AWS SDK finds, such as the ones of an instance's role. */
import { Effect, Redacted } from "effect"
import { BlobStoreUnavailable } from "../ports/BlobStore.ts"

export interface S3Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of a role. */
  readonly sessionToken?: string
}

/** Both, or neither. */
export interface S3Keys {
  readonly accessKeyId?: Redacted.Redacted<string>
  readonly secretAccessKey?: Redacted.Redacted<string>
}

/**
 * Returns what gives the credentials for a request. Without keys it is the AWS SDK's chain: variables, files, SSO, web identity,
 * and the roles of containers and instances. The SDK keeps credentials, and replaces them before they end.
 *
 * The SDK is loaded only then. Fails if it is not installed, or if one of the keys is missing.
 */
export const credentialsOf = ({
  accessKeyId,
  secretAccessKey
}: S3Keys): Effect.Effect<() => Promise<S3Credentials>, BlobStoreUnavailable> => {
  if (accessKeyId === undefined && secretAccessKey === undefined) return findByChain
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    return unavailable("one of S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY is missing; set both, or neither")
  }
  const credentials = {
    accessKeyId: Redacted.value(accessKeyId),
    secretAccessKey: Redacted.value(secretAccessKey)
  }
  return Effect.succeed(async () => credentials)
}

const unavailable = (message: string) =>
  Effect.fail(new BlobStoreUnavailable({ operation: "find credentials for S3", cause: new Error(message) }))

const findByChain = Effect.tryPromise({
  try: () => import("@aws-sdk/credential-providers"),
  catch: () => "NotInstalled" as const
}).pipe(
  Effect.catch(() =>
    unavailable(
      "there are no keys, and the package that finds a machine's role is not installed; set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY, or: npm install @aws-sdk/credential-providers"
    )
  ),
  Effect.map(({ fromNodeProviderChain }) => {
    const find = fromNodeProviderChain()
    return async (): Promise<S3Credentials> => {
      const { accessKeyId, secretAccessKey, sessionToken } = await find()
      return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) }
    }
  })
)
