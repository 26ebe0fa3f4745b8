/** Signatures and waits of webhooks. */
import { assert, it } from "@effect/vitest"
import { newSecret, sign } from "../../src/webhooks/Signature.ts"
import { defaultWebhookOptions, retryDelay } from "../../src/webhooks/WebhookOptions.ts"

it("a signature is that of the example of Standard Webhooks", () => {
  const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
  const signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
  assert.strictEqual(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
})

it("a new secret has 32 bytes, and is another one each time", () => {
  assert.match(newSecret(), /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.notStrictEqual(newSecret(), newSecret())
})

it("the waits between attempts grow four times, give or take a fifth, up to 8 hours, and come to about a day", () => {
  const waits = Array.from({ length: defaultWebhookOptions.attempts - 1 }, (_, i) =>
    Math.round(retryDelay(defaultWebhookOptions, i + 1, 0.5) / 1000)
  )
  assert.deepStrictEqual(waits, [5, 20, 80, 320, 1280, 5120, 20_480, 28_800, 28_800])
  assert.closeTo(retryDelay(defaultWebhookOptions, 1, 0), 4000, 1)
  assert.closeTo(retryDelay(defaultWebhookOptions, 1, 1), 6000, 1)
})
