import { expect, test } from '@jest/globals'
import { FakeGitHub } from './fake-github.ts'

test('the fake finds what the official description does not allow, in requests and in its own answers', async () => {
  const github = await FakeGitHub.start()
  const ask = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `token ${github.token}`, 'content-type': 'application/json' }
    const response = await fetch(github.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
    await response.text()
    return github.problems.splice(0)
  }
  const issues = `/repos/${github.repository}/issues`
  expect(await ask('POST', issues, { title: 'a', labels: ['b'] })).toEqual([])
  expect(await ask('POST', issues, { body: 'no title' })).toEqual([
    expect.stringContaining("required property 'title'"),
  ])
  expect(await ask('POST', issues, { title: 'a', bogus: 1 })).toEqual([`POST ${issues}: no key bogus in the body`])
  expect(await ask('PATCH', `${issues}/1`, { state: 'klosed' })).toContainEqual(
    `PATCH ${issues}/1: /state must be equal to one of the allowed values`,
  )
  expect(await ask('PATCH', `${issues}/1`, { state: 'closed', state_reason: 'bored' })).toContainEqual(
    expect.stringContaining('/state_reason must be equal to one of the allowed values'),
  )
  expect(await ask('GET', `${issues}?sort=created&order=asc`)).toEqual([`GET ${issues}: no query parameter order`])
  expect(await ask('GET', `${issues}?state=every`)).toEqual([`GET ${issues}: state cannot be every`])
  expect(await ask('GET', `/search/issues?q=x`)).toEqual([
    'GET /search/issues: the description does not know this call',
  ])
  const workflow = `/repos/${github.repository}/actions/workflows/a.yml`
  github.workflows.set('a.yml')
  github.workflows.addRun('a.yml')
  expect(await ask('GET', workflow)).toEqual([])
  expect(await ask('GET', `${workflow}/runs?event=schedule&exclude_pull_requests=true`)).toEqual([])
  expect(await ask('GET', `${workflow}/runs?state=completed`)).toEqual([
    `GET ${workflow}/runs: no query parameter state`,
  ])
  expect(await ask('GET', `${workflow}/runs?exclude_pull_requests=1`)).toEqual([
    `GET ${workflow}/runs: exclude_pull_requests is no boolean: 1`,
  ])
  github.workflows.set('a.yml', 'asleep')
  expect(await ask('GET', workflow)).toContainEqual(expect.stringMatching(/^answer to GET .*\/state must be equal to/))
  github.workflows.addRun('a.yml', { number: 1.5 })
  expect(await ask('GET', `${workflow}/runs`)).toContainEqual(expect.stringMatching(/run_number must be integer$/))
  github.repo.add({ number: 1.5 })
  expect(await ask('GET', issues)).toContainEqual(expect.stringMatching(/^answer to GET .*\/number must be integer$/))
  await github.close()
})
