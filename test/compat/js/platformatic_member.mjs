// SPDX-License-Identifier: Apache-2.0
// One member of a group, of @platformatic/kafka: what python/group_member.py does, with the same lines.
//   platformatic_member.mjs classic|consumer BOOTSTRAP TOPIC GROUP
import { Consumer } from '@platformatic/kafka'

const [protocol, bootstrap, topic, groupId] = process.argv.slice(2)
const group = protocol === 'consumer'
  ? { groupProtocol: 'consumer' }
  : { sessionTimeout: 6000, heartbeatInterval: 500 }
let consumer
let ended = false

async function consume () {
  consumer = new Consumer({
    clientId: 'member', bootstrapBrokers: [bootstrap], groupId, retries: 30, retryDelay: 300, maxWaitTime: 200,
    autocommit: false, ...group
  })
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest' })
  for await (const message of stream) {
    console.log('R', message.partition, String(message.offset))
    await message.commit()
    console.log('C', message.partition, String(message.offset + 1n))
  }
}

process.stdin.resume()
process.stdin.on('end', async () => {
  ended = true
  await consumer.close(true)
  process.stdout.write('', () => process.exit(0))
})
// Its stream ends with the first error: a program goes on with a new one.
while (!ended) {
  try {
    await consume()
  } catch (error) {
    console.log('#', error.message, ...(error.errors ?? []).map(e => e.message))
  }
  if (!ended) {
    await consumer.close(true).catch(error => console.log('#', error.message))
    await new Promise(resolve => setTimeout(resolve, 300))
  }
}
