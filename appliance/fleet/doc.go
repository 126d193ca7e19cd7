// Package fleet brings a kiosk's journal to the centre and issued certificates to
// any kiosk, over NATS JetStream. The kiosk is only a client; the centre runs three
// nodes with sync_interval: always and has made the stream and the bucket with
// [Provision].
//
// # The log
//
// Each journal record is one message on the subject kiosk.<id>.log, published with
// Nats-Expected-Last-Subject-Sequence: the server takes it only behind the message
// that we saw last. Exactly-once is thus by sequence and for ever, not by a window
// of minutes that a month offline outlives. syncd keeps nothing: after a start, a
// lost acknowledgement or a change of leader it reads the last message of its
// subject and compares journal, sequence and hash with the journal:
//
//   - the same record is in our journal: go on behind it;
//   - our journal is shorter or has another record there: the card was rolled back,
//     cloned or replaced. That is a [ForkError], with the foreign entry, whose
//     signature kioskd verifies before it believes; nothing more is published until an
//     officer has cleared exactly that end of the log. Then the whole journal is
//     published again behind it, the first entry naming what it leaves (entry.After).
//
// There is one message in flight for each kiosk, since the next one has to name the
// sequence of the one before. The centre keeps the journal's hash as its own key.
//
// # The bucket
//
// A pick-up (see appliance/fleet/entry) is stored under the SHA-256 of the new
// public key, before the record that tells of it is published: what is acknowledged
// in the log is in the bucket. Writing is by revision; the same pick-up again is
// success, for one key the later certificate stays.
//
// # What the account of a kiosk needs
//
//	publish    kiosk.<id>.log
//	           $JS.API.STREAM.INFO.KIOSKS, $JS.API.STREAM.INFO.KV_PICKUP
//	           $JS.API.DIRECT.GET.KIOSKS.kiosk.<id>.log
//	           $JS.API.DIRECT.GET.KV_PICKUP.$KV.PICKUP.>, $KV.PICKUP.>
//	subscribe  _INBOX.>
//
// Direct reads may come from a replica that lags. That is harmless: what is stale is
// still ours, and the publish behind it is refused.
//
// Not here: the centre's side (whoever reads the stream), trimming, the making of
// accounts.
package fleet
