// SPDX-License-Identifier: Apache-2.0
// @platformatic/kafka as a compat client. It reads a partition without a group by its own fetch call.
import { createInterface } from 'node:readline'
import { Consumer, Producer } from '@platformatic/kafka'

const [command, bootstrap, ...args] = process.argv.slice(2)
const options = { clientId: 'compat', bootstrapBrokers: [bootstrap], retries: 30, retryDelay: 300 }
const unhex = text => text === null ? undefined : Buffer.from(text, 'hex')
const tohex = data => data === null || data === undefined ? null : Buffer.from(data).toString('hex')

async function produce ([topic, codec]) {
  const producer = new Producer({ ...options, autocreateTopics: true })
  let messages = []
  for await (const line of createInterface({ input: process.stdin })) {
    const r = JSON.parse(line)
    messages.push({
      topic, partition: 0, key: unhex(r.k), value: unhex(r.v), timestamp: BigInt(r.t),
      headers: new Map(r.h.map(([k, v]) => [Buffer.from(k), unhex(v)]))
    })
  }
  while (messages.length) {
    await producer.send({ messages: messages.slice(0, 50), acks: -1, compression: codec })
    messages = messages.slice(50)
  }
  await producer.close()
}

class Reader {
  constructor () {
    this.consumer = new Consumer({ ...options, groupId: 'unused' })
    this.offset = 0n
    this.pending = []
  }

  async next (topic) {
    const end = Date.now() + 15000
    while (!this.pending.length) {
      if (Date.now() > end) throw new Error(`no message in time from ${topic} at ${this.offset}`)
      const info = (await this.consumer.metadata({ topics: [topic], forceUpdate: this.stale })).topics.get(topic)
      this.stale = false
      let answer
      try {
        answer = await this.consumer.fetch({
          node: info.partitions[0].leader, maxWaitTime: 200, minBytes: 1, maxBytes: 1 << 25, isolationLevel: 0,
          topics: [{
            topicId: info.id,
            partitions: [{
              partition: 0, currentLeaderEpoch: -1, fetchOffset: this.offset, lastFetchedEpoch: -1,
              partitionMaxBytes: 1 << 21
            }]
          }]
        })
      } catch (error) {
        if (!this.riding) throw error
        this.stale = true
        await new Promise(resolve => setTimeout(resolve, 200))
        continue
      }
      for (const batch of answer.responses[0]?.partitions[0]?.records ?? []) {
        for (const r of batch.records) {
          const offset = batch.firstOffset + BigInt(r.offsetDelta)
          if (offset < this.offset) continue
          this.pending.push({
            topic, k: tohex(r.key), v: tohex(r.value), t: Number(batch.firstTimestamp + r.timestampDelta),
            h: r.headers.map(([k, v]) => [k.toString(), tohex(v)]), o: Number(offset)
          })
          this.offset = offset + 1n
        }
      }
    }
    return this.pending.shift()
  }
}

async function read (wanted) {
  for (const item of wanted) {
    const [topic, count] = [item.slice(0, item.lastIndexOf(':')), Number(item.slice(item.lastIndexOf(':') + 1))]
    const reader = new Reader()
    for (let i = 0; i < count; i++) console.log(JSON.stringify(await reader.next(topic)))
    await reader.consumer.close()
  }
}

async function ride ([topic]) {
  const producer = new Producer(options)
  const reader = new Reader()
  reader.riding = true
  let serial = 0
  for await (const line of createInterface({ input: process.stdin })) {
    const [what, count] = line.split(' ')
    for (let i = 0; i < Number(count); i++) {
      if (what === 'read') {
        console.log(JSON.stringify(await reader.next(topic)))
      } else {
        await producer.send({ acks: -1, messages: [{ topic, partition: 0, value: Buffer.from(String(serial++)) }] })
      }
    }
    console.log('done')
  }
}

await { produce, read, ride }[command](args)
process.stdout.write('', () => process.exit(0))
