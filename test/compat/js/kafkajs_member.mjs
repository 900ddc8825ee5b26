// SPDX-License-Identifier: Apache-2.0
// One member of a group, of KafkaJS: what python/group_member.py does, with the same lines.
//   kafkajs_member.mjs BOOTSTRAP TOPIC GROUP
import kafkajs from 'kafkajs'

const [bootstrap, topic, groupId] = process.argv.slice(2)
const log = () => ({ log }) => console.log('#', log.message, log.error ?? '')
const kafka = new kafkajs.Kafka({
  brokers: [bootstrap], clientId: 'member', logLevel: kafkajs.logLevel.ERROR, logCreator: log,
  retry: { retries: 30, maxRetryTime: 1000 }
})
const consumer = kafka.consumer({ groupId, sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 200 })

await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  autoCommit: false,
  eachBatch: async ({ batch, resolveOffset }) => {
    for (const message of batch.messages) {
      console.log('R', batch.partition, message.offset)
      resolveOffset(message.offset)
    }
    const offset = String(BigInt(batch.lastOffset()) + 1n)
    await consumer.commitOffsets([{ topic, partition: batch.partition, offset }])
    console.log('C', batch.partition, offset)
  }
})
process.stdin.resume()
process.stdin.on('end', async () => {
  await consumer.disconnect()
  process.stdout.write('', () => process.exit(0))
})
