// SPDX-License-Identifier: Apache-2.0
// KafkaJS as a compat client. It reads through groups only, so it has `produce` and `ride` without reading.
import { createInterface } from 'node:readline'
import kafkajs from 'kafkajs'

const { Kafka, CompressionTypes, logLevel, Partitioners } = kafkajs
const [command, bootstrap, topic, codec] = process.argv.slice(2)
const kafka = new Kafka({
  brokers: [bootstrap], clientId: 'compat', logLevel: logLevel.NOTHING, retry: { retries: 30, maxRetryTime: 1000 }
})
const unhex = text => text === null ? null : Buffer.from(text, 'hex')
// Made only when reading begins: lines that come before are lost.
const lines = () => createInterface({ input: process.stdin })

async function produce () {
  const producer = kafka.producer({ allowAutoTopicCreation: true, createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  let messages = []
  for await (const line of lines()) {
    const r = JSON.parse(line)
    const headers = {}
    for (const [k, v] of r.h) headers[k] = k in headers ? [].concat(headers[k], unhex(v)) : unhex(v)
    messages.push({ key: unhex(r.k), value: unhex(r.v), partition: 0, timestamp: String(r.t), headers })
  }
  while (messages.length) {
    const compression = codec === 'gzip' ? CompressionTypes.GZIP : CompressionTypes.None
    await producer.send({ topic, messages: messages.slice(0, 50), acks: -1, compression })
    messages = messages.slice(50)
  }
  await producer.disconnect()
}

async function ride () {
  const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  let serial = 0
  for await (const line of lines()) {
    const count = Number(line.split(' ')[1])
    for (let i = 0; i < count; i++) {
      await producer.send({ topic, acks: -1, messages: [{ partition: 0, value: String(serial++) }] })
    }
    console.log('done')
  }
  await producer.disconnect()
}

await { produce, ride }[command]()
process.stdout.write('', () => process.exit(0))
