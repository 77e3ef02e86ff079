export const id = 474;
export const ids = [474];
export const modules = {

/***/ 4474:
/***/ ((__unused_webpack_module, __webpack_exports__, __webpack_require__) => {


// EXPORTS
__webpack_require__.d(__webpack_exports__, {
  openS3: () => (/* binding */ openS3)
});

// EXTERNAL MODULE: ./node_modules/@aws-sdk/client-s3/dist-cjs/index.js
var dist_cjs = __webpack_require__(6092);
// EXTERNAL MODULE: ./src/storage/body.ts
var storage_body = __webpack_require__(9733);
// EXTERNAL MODULE: ./src/storage/location.ts
var storage_location = __webpack_require__(150);
// EXTERNAL MODULE: external "node:crypto"
var external_node_crypto_ = __webpack_require__(7598);
// EXTERNAL MODULE: external "node:http"
var external_node_http_ = __webpack_require__(7067);
// EXTERNAL MODULE: external "node:https"
var external_node_https_ = __webpack_require__(4708);
// EXTERNAL MODULE: ./src/base/errors.ts
var errors = __webpack_require__(4758);
;// CONCATENATED MODULE: ./src/storage/s3-retry.ts

const DEFAULT_PATIENCE = {
    attempts: 8,
    firstContactAttempts: 3,
    firstDelay: 500,
    longestDelay: 20_000,
    connectTimeout: 10_000,
    idleTimeout: 60_000,
};
/** Half of an exponentially growing delay is fixed, half is random, so that many jobs do not come back together. */
function backoff(attempt, patience, random = Math.random) {
    const longest = Math.min(patience.longestDelay, patience.firstDelay * 2 ** (attempt - 1));
    return longest * (0.5 + 0.5 * random());
}
/**
 * The SDK's retries with more patience than its own three attempts within a second: a dump of hours should outlive a
 * minute of trouble in storage. The SDK says what is transient; waiting is done by the clock, and told in the log.
 */
function patientRetries(options) {
    const { patience, log, clock } = options;
    let answered = false;
    let outlasted = false;
    return {
        acquireInitialRetryToken: async () => token(0),
        recordSuccess: () => {
            answered = true;
            outlasted = false;
        },
        refreshRetryTokenForRetry: async (last, { error, errorType, retryAfterHint }) => {
            const status = error?.$metadata?.httpStatusCode;
            if (status !== undefined)
                answered = true;
            const attempt = last.getRetryCount() + 1;
            const attempts = answered && !outlasted ? patience.attempts : patience.firstContactAttempts;
            const hopeless = errorType === 'CLIENT_ERROR' || status === 501 || status === 505;
            if (!hopeless && attempt >= attempts)
                outlasted = true;
            if (hopeless || attempt >= attempts || error === undefined)
                throw error ?? new Error('no error to retry');
            const asked = retryAfterHint ? retryAfterHint.getTime() - clock.now().getTime() : 0;
            const delay = Math.max(backoff(attempt, patience), Math.min(asked, patience.longestDelay));
            const problem = (0,errors/* codeOf */.$N)(error) ?? error.name;
            log.debug(`storage: ${problem}; trying again in ${(delay / 1_000).toFixed(1)} s (${attempt + 1} of ${attempts})`);
            await clock.sleep(delay);
            return token(attempt);
        },
    };
}
function token(count) {
    return { getRetryCount: () => count, getRetryDelay: () => 0 };
}
/** Whether a body that ended with this error may go on over a new connection. */
function isBrokenConnection(error) {
    const name = error?.name;
    if (error instanceof errors/* LifeboatError */.H3 || name === 'AbortError')
        return false;
    return name === 'TimeoutError' || /^(E[A-Z]+|ERR_STREAM_PREMATURE_CLOSE|HPE_\w+)$/.test((0,errors/* codeOf */.$N)(error) ?? '');
}

// EXTERNAL MODULE: ./src/storage/s3-settings.ts
var s3_settings = __webpack_require__(1213);
;// CONCATENATED MODULE: ./src/storage/s3-client.ts







/**
 * A client with region, endpoint, proxies, time limits and retries settled; no request is sent.
 * LifeboatErrors: `no-region`, `bad-s3-endpoint`, `bad-proxy`.
 */
async function createS3Client(options) {
    const { env, log, clock } = options;
    const endpoint = (0,s3_settings/* endpointOf */.X5)(env, options.endpoint);
    const patience = { ...DEFAULT_PATIENCE, ...options.patience };
    const client = new dist_cjs.S3Client({
        region: (0,s3_settings/* regionOf */.AP)(env) ?? (endpoint === undefined ? undefined : 'us-east-1'),
        credentials: staticCredentials(env),
        requestHandler: { ...agents(env), ...timeLimits(patience) },
        retryStrategy: patientRetries({ patience, log, clock }),
        // Stored bytes are checked against the manifest's SHA-256, so what comes back needs no second checksum.
        responseChecksumValidation: 'WHEN_REQUIRED',
        ...(endpoint === undefined ? {} : endpointSettings(endpoint)),
    });
    if (endpoint !== undefined)
        sendContentMd5(client);
    await requireRegion(client);
    return { client, endpoint };
}
/** Services other than AWS know path-style requests, and not all know the newer checksum headers and trailers. */
function endpointSettings(endpoint) {
    return { endpoint, forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED' };
}
/** The same choice as the SDK's own chain makes, but from `env`; undefined leaves it to the chain. */
function staticCredentials(env) {
    const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: token } = env;
    if (!accessKeyId || !secretAccessKey || env.AWS_PROFILE)
        return undefined;
    return { accessKeyId, secretAccessKey, ...(token ? { sessionToken: token } : {}) };
}
function timeLimits(patience) {
    const { connectTimeout: connectionTimeout, idleTimeout: socketTimeout } = patience;
    return { connectionTimeout, socketTimeout, socketAcquisitionWarningTimeout: 60_000 };
}
/** The SDK knows nothing of proxies; Node's agents do, since 24.5, when they are told where to look. */
function agents(env) {
    const settings = { keepAlive: true, maxSockets: 50 };
    const proxies = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].flatMap((name) => env[name] || []);
    if (proxies.length === 0)
        return { httpAgent: new external_node_http_.Agent(settings), httpsAgent: new external_node_https_.Agent(settings) };
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    if (major < 24 || (major === 24 && minor < 5)) {
        throw badProxy(`Node ${process.versions.node} is too old for HTTP proxies`, 'Update the runner: Node 24.5 or newer.');
    }
    // Node would go past a proxy of another kind without a word. The URL itself may hold a password.
    if (!proxies.every((proxy) => /^https?:\/\//i.test(proxy) && URL.canParse(proxy))) {
        throw badProxy('it is no http:// or https:// URL', 'Correct HTTPS_PROXY (and HTTP_PROXY), or unset them.');
    }
    const proxied = { ...settings, proxyEnv: env };
    return { httpAgent: new external_node_http_.Agent(proxied), httpsAgent: new external_node_https_.Agent(proxied) };
}
function badProxy(problem, remedy) {
    return new errors/* LifeboatError */.H3('bad-proxy', `The proxy in HTTPS_PROXY or HTTP_PROXY cannot be used: ${problem}.`, remedy);
}
const NEED_CHECKSUM = ['DeleteObjectsCommand', 'PutObjectRetentionCommand'];
/**
 * Some requests must carry a checksum. The SDK sends a CRC, which older S3 services do not accept in place of the
 * Content-MD5 that they ask for; AWS accepts either.
 */
function sendContentMd5(client) {
    client.middlewareStack.add((next, context) => async (args) => {
        const request = args.request;
        if (NEED_CHECKSUM.includes(context.commandName ?? '') && typeof request.body === 'string') {
            for (const name of Object.keys(request.headers)) {
                if (/^x-amz-(checksum|sdk-checksum)-/i.test(name))
                    delete request.headers[name];
            }
            request.headers['content-md5'] = md5Base64(request.body);
        }
        return await next(args);
    }, { step: 'build', priority: 'low', name: 'sendContentMd5' });
}
function md5Base64(body) {
    return (0,external_node_crypto_.createHash)('md5').update(body).digest('base64');
}
async function requireRegion(client) {
    try {
        await client.config.region();
    }
    catch (error) {
        throw (0,s3_settings/* noRegion */.C5)(error);
    }
}

// EXTERNAL MODULE: ./src/base/concurrently.ts
var concurrently = __webpack_require__(1651);
;// CONCATENATED MODULE: ./src/storage/s3-errors.ts

/**
 * An error of the S3 SDK as a LifeboatError. What is one already, or is the reason of an abort, stays as it is.
 * Codes are those of the S3 API; the network's are Node's.
 */
function explainS3Error(error, attempt) {
    if (attempt.signal?.aborted)
        return attempt.signal.reason;
    if (error instanceof errors/* LifeboatError */.H3)
        return error;
    const facts = serviceError(error);
    const found = explainNetwork(error, attempt) ?? explainService(facts, attempt) ?? explainRest(facts, attempt);
    return new errors/* LifeboatError */.H3(...found, { cause: error });
}
/** Whether the error says that an object (or that version of it) is not there. */
function isMissingObject(error) {
    const { name, status } = serviceError(error);
    if (name === 'NoSuchBucket')
        return false;
    return status === 404 || name === 'NoSuchKey' || name === 'NoSuchVersion' || name === 'NotFound';
}
/** Whether the service does not know this request at all. */
function isNotImplemented(error) {
    const { name, status } = serviceError(error);
    return status === 501 || status === 405 || name === 'NotImplemented' || name === 'MethodNotAllowed';
}
function serviceError(error) {
    const raw = (error ?? {});
    const name = raw.Code ?? raw.name ?? 'Error';
    const message = oneLine((0,errors/* messageOf */.bD)(error));
    return {
        name,
        // What the SDK says where the service says nothing.
        message: message === 'UnknownError' ? name : message,
        status: raw.$metadata?.httpStatusCode ?? 0,
        region: raw.$response?.headers?.['x-amz-bucket-region'] ?? raw.Region,
    };
}
function oneLine(text) {
    return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}
function place({ url, key }) {
    return key ? `${url}: ${key}` : url;
}
const UNREACHABLE = [
    'ENOTFOUND',
    'EAI_AGAIN',
    'ECONNREFUSED',
    'ECONNRESET',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ETIMEDOUT',
    'EPIPE',
];
function explainNetwork(error, attempt) {
    if (serviceError(error).status !== 0)
        return undefined;
    const code = (0,errors/* codeOf */.$N)(error) ?? '';
    const service = attempt.endpoint ?? 'AWS S3';
    if (/CERT|SELF_SIGNED|UNABLE_TO_|ERR_TLS|EPROTO|ERR_SSL/.test(code)) {
        const remedy = 'Check http:// or https:// in `s3-endpoint`; for a private CA set NODE_EXTRA_CA_CERTS to its file.';
        return ['storage-tls', `No trusted TLS connection to ${service} (${code}).`, remedy];
    }
    const timedOut = serviceError(error).name === 'TimeoutError';
    if (!timedOut && !UNREACHABLE.includes(code) && !code.startsWith('ERR_PROXY'))
        return undefined;
    const where = attempt.endpoint === undefined ? 'AWS_REGION' : '`s3-endpoint`';
    const remedy = `Check ${where}, the network of the runner, and HTTPS_PROXY if it has to go through a proxy.`;
    return ['storage-unreachable', `${service} could not be reached (${code || 'timed out'}).`, remedy];
}
function explainService(facts, attempt) {
    const { name, message, status, region } = facts;
    const { bucket } = attempt;
    if (name === 'CredentialsProviderError' || name === 'TokenProviderError') {
        const remedy = 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (a missing secret is empty), or run aws-actions/configure-aws-credentials with `id-token: write`.';
        return ['no-storage-credentials', `No AWS credentials were found for ${attempt.url}: ${message}`, remedy];
    }
    if (name === 'NoSuchBucket') {
        return ['no-bucket', `The bucket ${bucket} does not exist.`, 'Correct `storage` and `s3-endpoint`, or create it.'];
    }
    if (['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'InvalidSecurity'].includes(name)) {
        const remedy = 'Correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (both from one key pair), and AWS_REGION.';
        return ['bad-storage-credentials', `The service refused the access key or its secret (${name}).`, remedy];
    }
    if (/^(ExpiredToken|InvalidToken|TokenRefreshRequired|ExpiredTokenException|InvalidIdentityToken)/.test(name)) {
        const remedy = 'Log in again shortly before this step, with a session that outlasts it, or correct AWS_SESSION_TOKEN.';
        return ['bad-storage-credentials', `The session token was refused (${name}).`, remedy];
    }
    if (name === 'RequestTimeTooSkewed') {
        return ['clock-skew', "The runner's clock is off: S3 refused the time.", 'Set the clock of the runner (NTP).'];
    }
    const moved = status === 301 || status === 307 || /^(PermanentRedirect|TemporaryRedirect|IllegalLocationConstraint)/.test(name);
    if (moved || (name === 'AuthorizationHeaderMalformed' && /region/i.test(message))) {
        const remedy = region ? `Set AWS_REGION to ${region}.` : 'Set AWS_REGION to the region of the bucket.';
        return ['wrong-region', `The bucket ${bucket} is in another region (${message}).`, remedy];
    }
    return explainObject(facts, attempt);
}
function explainObject({ name, message, status }, attempt) {
    const { bucket, permission } = attempt;
    if (isMissingObject({ name, $metadata: { httpStatusCode: status } })) {
        const remedy = 'Check `storage` and `database`; if they are right, this backup set has lost a part: choose another with `backup`.';
        return ['no-object', `${attempt.key ?? ''} does not exist in ${attempt.url}.`, remedy];
    }
    if (attempt.lock && (name === 'InvalidRequest' || /object.?lock/i.test(message)))
        return noObjectLock(bucket, message);
    // Ceph knows no name of its own for that.
    if (name === 'InvalidStorageClass' || (attempt.storageClass !== undefined && name === 'InvalidArgument')) {
        return ['bad-storage-class', `${bucket} does not know this storage class.`, 'Correct or remove `storage-class`.'];
    }
    if (name === 'InvalidObjectState') {
        const remedy = 'Restore the objects from the archive first, and keep backup sets in an instant `storage-class`.';
        return ['object-archived', `${place(attempt)} is in an archive storage class.`, remedy];
    }
    if (name === 'PreconditionFailed' || status === 412) {
        const remedy = 'Find out what else writes to this `storage`, then run the job again.';
        return ['object-changed', `${place(attempt)} was replaced while it was read.`, remedy];
    }
    if (name === 'QuotaExceeded' || name === 'XMinioStorageFull' || status === 507) {
        return ['storage-full', `${bucket} is full (${name}).`, 'Raise its quota or keep fewer backup sets.'];
    }
    if (status === 403 || name === 'AccessDenied') {
        const remedy = `Allow ${permission} on ${resource(attempt)} for these credentials.`;
        return ['storage-access-denied', `Access denied: cannot ${attempt.verb} ${place(attempt)} (${message}).`, remedy];
    }
    return undefined;
}
function noObjectLock(bucket, message) {
    const remedy = 'Create the bucket with Object Lock enabled, or remove `lock-days`.';
    return ['no-object-lock', `The bucket ${bucket} does not lock objects (${message}).`, remedy];
}
function resource({ permission, url, bucket }) {
    return /:List|:GetBucket/.test(permission) ? `arn:aws:s3:::${bucket}` : `arn:aws:s3:::${url.slice('s3://'.length)}/*`;
}
function explainRest({ name, message, status }, attempt) {
    const answer = status === 0 ? name : `HTTP ${status}, ${name}`;
    if (status >= 500 || status === 429 || name === 'SlowDown') {
        const remedy = 'The service is in trouble or slows this job down: look at its status page, then run the job again.';
        return [
            'storage-unavailable',
            `Cannot ${attempt.verb} ${place(attempt)} after several attempts (${answer}).`,
            remedy,
        ];
    }
    const remedy = 'Check `storage`, `s3-endpoint` and the credentials; the message is what the service answered.';
    return ['storage-error', `Cannot ${attempt.verb} ${place(attempt)}: ${answer}: ${message}`, remedy];
}

;// CONCATENATED MODULE: ./src/storage/s3-locks.ts



const CONCURRENT_HEADS = 16;
/** Finds the locks on versions. In a bucket without Object Lock one request tells that there are none. */
class S3Locks {
    #context;
    #bucketLocks;
    constructor(context) {
        this.#context = context;
    }
    /** Those that hold now. */
    async of(targets, signal) {
        if (targets.length === 0)
            return [];
        this.#bucketLocks ??= mayLock(this.#context);
        if (!(await this.#bucketLocks))
            return [];
        const locks = await (0,concurrently/* mapConcurrently */.X)(targets, CONCURRENT_HEADS, async (target) => {
            signal?.throwIfAborted();
            return await lockOf(this.#context, target);
        });
        return locks.filter((lock) => lock !== undefined);
    }
}
/** What locks this version; undefined if nothing does, or if these credentials may not know. */
async function lockOf(context, { key, versionId }) {
    const { client, bucket, base, clock } = context;
    const target = { Bucket: bucket, Key: base + key, VersionId: versionId };
    const head = await client.send(new dist_cjs.HeadObjectCommand(target)).catch(() => ({}));
    const version = { key, ...(versionId !== undefined && { versionId }) };
    if (head.ObjectLockLegalHoldStatus === 'ON')
        return version;
    const until = head.ObjectLockRetainUntilDate;
    return until && until > clock.now() ? { ...version, until } : undefined;
}
/** `locked until 2026-12-22T02:17:04.000Z`. */
function describeLock({ until }) {
    return until ? `locked until ${until.toISOString()}` : 'under a legal hold';
}
/** Whether the bucket has Object Lock; where that may not be asked it counts as yes. */
async function mayLock({ client, bucket: Bucket }) {
    try {
        await client.send(new dist_cjs.GetObjectLockConfigurationCommand({ Bucket }));
        return true;
    }
    catch (error) {
        return serviceError(error).name !== 'ObjectLockConfigurationNotFoundError' && !isNotImplemented(error);
    }
}

;// CONCATENATED MODULE: ./src/storage/s3-delete.ts




/** The most that one DeleteObjects request takes. */
const BATCH = 1_000;
const CONCURRENT_SINGLES = 8;
/** Deletes objects in batches, or one by one where the service has no batches (Google answers 501). */
class S3Deleter {
    #context;
    #batches = true;
    constructor(context) {
        this.#context = context;
    }
    async delete(objects) {
        const deletions = [];
        for (let from = 0; from < objects.length; from += BATCH) {
            const batch = objects.slice(from, from + BATCH);
            deletions.push(...((await this.#deleteBatch(batch)) ?? (await this.#deleteSingly(batch))));
        }
        return deletions;
    }
    /** Undefined where the service does not do batches. */
    async #deleteBatch(batch) {
        if (!this.#batches || batch.length === 1)
            return undefined;
        const { client, bucket, base } = this.#context;
        const Objects = batch.map(({ key, versionId }) => ({ Key: base + key, VersionId: versionId }));
        try {
            const answer = await client.send(new dist_cjs.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }));
            return await this.#readErrors(batch, answer);
        }
        catch (error) {
            if (!isNotImplemented(error))
                throw error;
            this.#context.log.debug('storage: no batch deletion here; deleting one by one');
            this.#batches = false;
            return undefined;
        }
    }
    async #readErrors(batch, answer) {
        const errors = new Map(answer.Errors?.map((error) => [`${error.VersionId ?? ''} ${error.Key}`, error]));
        const { base } = this.#context;
        const judge = async (doomed) => {
            const error = errors.get(`${doomed.versionId ?? ''} ${base}${doomed.key}`) ?? errors.get(` ${base}${doomed.key}`);
            if (!error)
                return { ...doomed, outcome: 'deleted' };
            return await this.#judge(doomed, error.Code ?? 'Error', error.Message ?? '');
        };
        return await (0,concurrently/* mapConcurrently */.X)(batch, CONCURRENT_SINGLES, judge);
    }
    async #deleteSingly(batch) {
        const { client, bucket, base } = this.#context;
        return await (0,concurrently/* mapConcurrently */.X)(batch, CONCURRENT_SINGLES, async (doomed) => {
            try {
                await client.send(new dist_cjs.DeleteObjectCommand({ Bucket: bucket, Key: base + doomed.key, VersionId: doomed.versionId }));
                return { ...doomed, outcome: 'deleted' };
            }
            catch (error) {
                if (isMissingObject(error))
                    return { ...doomed, outcome: 'deleted' };
                const { name, message, status } = serviceError(error);
                // Without an answer, or without valid credentials, no other deletion will fare better.
                if (status === 0 || (status === 403 && name !== 'AccessDenied' && name !== 'Forbidden'))
                    throw error;
                return await this.#judge(doomed, name, message);
            }
        });
    }
    /** A refusal may be a lock, which is as it should be, or a missing permission: the version's own lock tells. */
    async #judge(doomed, code, message) {
        if (code === 'NoSuchKey' || code === 'NoSuchVersion')
            return { ...doomed, outcome: 'deleted' };
        const lock = doomed.versionId === undefined ? undefined : await lockOf(this.#context, doomed);
        if (lock)
            return { ...doomed, outcome: 'retained', reason: describeLock(lock) };
        if (doomed.versionId !== undefined && /object lock|retention|worm/i.test(message)) {
            return { ...doomed, outcome: 'retained', reason: message };
        }
        const permission = doomed.versionId === undefined ? 's3:DeleteObject' : 's3:DeleteObjectVersion';
        const reason = /denied|forbidden/i.test(code)
            ? `${code}: allow ${permission} on arn:aws:s3:::${this.#context.url.slice('s3://'.length)}/*`
            : `${code}: ${message}`;
        return { ...doomed, outcome: 'failed', reason };
    }
}

// EXTERNAL MODULE: external "node:stream"
var external_node_stream_ = __webpack_require__(7075);
;// CONCATENATED MODULE: ./src/storage/s3-download.ts




/** After this much progress a broken connection counts as the first one again. */
const PROGRESS_BYTES = 2 ** 20;
/**
 * An object's bytes from `start`. The request is answered before this resolves, so a missing object rejects here. The
 * stream goes on over a new connection where one broke, and is of one version of the object throughout.
 */
async function downloadObject(context, key, options, explain) {
    options.signal?.throwIfAborted();
    const start = options.start ?? 0;
    const stop = new AbortController();
    const request = async (position, first) => await context.client.send(new dist_cjs.GetObjectCommand({
        Bucket: context.bucket,
        Key: context.base + key,
        VersionId: options.versionId ?? first?.VersionId,
        IfMatch: first?.ETag,
        Range: position > 0 ? `bytes=${position}-` : undefined,
    }), { abortSignal: options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal });
    try {
        const first = await request(start);
        const resume = (position) => request(position, first);
        return new ResumingBody({ context, key, start, first, resume, explain, stop, signal: options.signal });
    }
    catch (error) {
        // There is nothing at or after the object's end: an empty stream, as of a file.
        if (start > 0 && serviceError(error).status === 416)
            return external_node_stream_.Readable.from([]);
        throw explain(error);
    }
}
/** Passes on one response's body after another until all bytes that the first one announced have come. */
class ResumingBody extends external_node_stream_.Readable {
    #source;
    #end;
    #position;
    #body;
    #failures = 0;
    #lastBreak;
    constructor(source) {
        super({ highWaterMark: 2 ** 20 });
        this.#source = source;
        this.#position = source.start;
        this.#lastBreak = source.start;
        const length = source.first.ContentLength;
        this.#end = length === undefined ? undefined : source.start + length;
        source.signal?.addEventListener('abort', this.#aborted, { once: true });
        this.#follow(source.first);
    }
    _read() {
        this.#body?.resume();
    }
    _destroy(error, done) {
        this.#source.signal?.removeEventListener('abort', this.#aborted);
        this.#source.stop.abort();
        this.#body?.on('error', () => undefined).destroy();
        done(error);
    }
    #aborted = () => {
        this.#fail(this.#source.signal?.reason);
    };
    #follow(response) {
        const body = response.Body;
        this.#body = body;
        let over = false;
        body.on('data', (chunk) => {
            this.#position += chunk.length;
            if (!this.push(chunk))
                body.pause();
        });
        const ended = (error) => {
            if (over || this.destroyed)
                return;
            over = true;
            if (!error && (this.#end === undefined || this.#position === this.#end))
                this.push(null);
            else
                void this.#recover(error ?? cutShort());
        };
        body.on('end', () => ended());
        body.on('error', ended);
        body.on('close', () => ended(cutShort()));
        // The reader may have asked for bytes before there was a body; pushing stops again if it does not want them.
        body.resume();
    }
    async #recover(error) {
        const { context, key, stop } = this.#source;
        this.#body?.destroy();
        if (this.#position - this.#lastBreak >= PROGRESS_BYTES)
            this.#failures = 0;
        this.#failures += 1;
        this.#lastBreak = this.#position;
        if (!isBrokenConnection(error) || this.#failures >= context.patience.attempts)
            return this.#fail(error);
        if (this.#position === this.#end)
            return void this.push(null);
        context.log.debug(`storage: ${key} broke off at byte ${this.#position} (${error.message}); reading on`);
        try {
            await context.clock.sleep(backoff(this.#failures, context.patience), stop.signal);
            this.#follow(await this.#source.resume(this.#position));
        }
        catch (again) {
            this.#fail(again);
        }
    }
    #fail(error) {
        const explained = this.#source.explain(error);
        this.destroy(explained instanceof Error ? explained : new Error(String(explained)));
    }
}
function cutShort() {
    return Object.assign(new Error('the connection ended early'), { code: 'ECONNRESET' });
}

;// CONCATENATED MODULE: ./src/storage/lifecycle.ts
/** Storage classes from which an object comes back after minutes or hours, and only when somebody asks for it first. */
const ARCHIVES = ['GLACIER', 'DEEP_ARCHIVE'];
/**
 * The rules that expire or archive objects whose keys begin with `prefix`, or some of them. What old versions come to is
 * left out: only what readers see can be missed. Undefined: this is no answer to the question (a service may answer
 * another one, or in a language of its own).
 */
function appliedRules(rules, prefix) {
    if (rules === undefined || !rules.every(isUnderstood))
        return undefined;
    return rules.filter((rule) => rule.Status === 'Enabled' && mayMatch(rule, prefix)).flatMap(effectsOf);
}
function isUnderstood({ Expiration, Transitions, ...rule }) {
    const { NoncurrentVersionExpiration, NoncurrentVersionTransitions, AbortIncompleteMultipartUpload } = rule;
    const known = [Expiration, Transitions, NoncurrentVersionExpiration, NoncurrentVersionTransitions];
    return [...known, AbortIncompleteMultipartUpload].some((action) => action !== undefined);
}
/** A set's objects carry no tags. Their sizes are many, so a rule about sizes always concerns some of them. */
function mayMatch({ Filter, Prefix }, prefix) {
    const { And } = Filter ?? {};
    if (Filter?.Tag !== undefined || (And?.Tags ?? []).length > 0)
        return false;
    const own = Filter?.Prefix ?? And?.Prefix ?? Prefix ?? '';
    return own.startsWith(prefix) || prefix.startsWith(own);
}
function effectsOf({ ID, Expiration, Transitions = [] }) {
    const id = ID ?? 'without a name';
    const rules = Transitions.filter(({ StorageClass = '' }) => ARCHIVES.includes(StorageClass)).map(({ StorageClass, Days, Date: date }) => ({ id, does: 'archive', storageClass: StorageClass, days: Days, date }));
    const { Days, Date: date } = Expiration ?? {};
    return Days === undefined && date === undefined ? rules : [...rules, { id, does: 'expire', days: Days, date }];
}

;// CONCATENATED MODULE: ./src/storage/s3-posture.ts



const RETENTION = 's3:GetObjectRetention';
const LOCK_CONFIGURATION = 's3:GetBucketObjectLockConfiguration';
/**
 * Four requests: what HEAD says of the object is known wherever it can be read; the bucket's rules are asked for, which
 * not every service and not every key answers; and one request goes without a signature. A fifth where the bucket locks,
 * but HEAD says nothing of a lock.
 */
async function postureOf(asked, prefix) {
    const [object, lockDefault, lifecycle, publiclyReadable] = await Promise.all([
        lookAt(asked),
        askLockDefault(asked),
        askLifecycle(asked, prefix),
        askAnonymously(asked),
    ]);
    return {
        versioned: mapTold(object, ({ VersionId }) => VersionId !== undefined && VersionId !== 'null'),
        encryption: encryptionOf(object),
        lock: await s3_posture_lockOf(asked, object, lockDefault),
        lockDefault,
        lifecycle,
        publiclyReadable,
        freeBytes: { unknown: 'does not apply' },
    };
}
function targetOf({ context: { bucket, base }, probe }) {
    return { Bucket: bucket, Key: base + probe.key, VersionId: probe.versionId };
}
async function lookAt(asked) {
    const { client } = asked.context;
    const command = new dist_cjs.HeadObjectCommand(targetOf(asked));
    const look = () => client.send(command, { abortSignal: asked.signal });
    const answer = await told(asked, 's3:GetObject', look, { NotFound: undefined, NoSuchVersion: undefined });
    if ('unknown' in answer)
        return answer;
    return answer.value === undefined ? { unknown: 'no answer' } : { value: answer.value };
}
/** A service that says nothing of it may well encrypt all the same. */
function encryptionOf(object) {
    if ('unknown' in object)
        return object;
    const { ServerSideEncryption: encryption } = object.value;
    return encryption === undefined ? { unknown: 'not implemented' } : { value: encryption };
}
async function s3_posture_lockOf(asked, object, lockDefault) {
    const { ObjectLockMode: mode, ObjectLockRetainUntilDate: until } = 'value' in object ? object.value : {};
    if (mode !== undefined && until !== undefined)
        return { value: { mode: mode, until } };
    if ('unknown' in lockDefault)
        return lockDefault;
    if (lockDefault.value === 'off')
        return { value: null };
    // HEAD leaves out what these credentials may not know: no word of a lock is not yet word of no lock.
    const { client } = asked.context;
    const answer = await told(asked, RETENTION, async () => (await client.send(new dist_cjs.GetObjectRetentionCommand(targetOf(asked)), { abortSignal: asked.signal })).Retention, { NoSuchObjectLockConfiguration: undefined, ObjectLockConfigurationNotFoundError: undefined });
    return mapTold(answer, (retention) => {
        const { Mode: mode, RetainUntilDate: until } = retention ?? {};
        return mode === undefined || until === undefined ? null : { mode: mode, until };
    });
}
async function askLockDefault(asked) {
    const { client, bucket: Bucket } = asked.context;
    const command = new dist_cjs.GetObjectLockConfigurationCommand({ Bucket });
    const answer = await told(asked, LOCK_CONFIGURATION, async () => (await client.send(command, { abortSignal: asked.signal })).ObjectLockConfiguration, { ObjectLockConfigurationNotFoundError: 'off' });
    if ('unknown' in answer)
        return answer;
    if (answer.value === 'off')
        return { value: 'off' };
    // Services that do not know the question may answer another one.
    if (answer.value?.ObjectLockEnabled !== 'Enabled')
        return { unknown: 'not implemented', permission: LOCK_CONFIGURATION };
    const { Mode, Days, Years } = answer.value.Rule?.DefaultRetention ?? {};
    const days = Days ?? (Years === undefined ? undefined : Years * 365);
    return { value: Mode === undefined || days === undefined ? null : { mode: Mode, days } };
}
async function askLifecycle(asked, prefix) {
    const { client, bucket: Bucket, base } = asked.context;
    const permission = 's3:GetLifecycleConfiguration';
    const command = new dist_cjs.GetBucketLifecycleConfigurationCommand({ Bucket });
    const answer = await told(asked, permission, async () => appliedRules((await client.send(command, { abortSignal: asked.signal })).Rules, base + prefix), { NoSuchLifecycleConfiguration: [] });
    if ('unknown' in answer)
        return answer;
    return answer.value === undefined ? { unknown: 'not implemented', permission } : { value: answer.value };
}
/** HEAD without a signature: what matters is what happens, not which of a bucket's many settings let it happen. */
async function askAnonymously(asked) {
    // Without the version, which would take another permission: whoever opens a bucket to all says `s3:GetObject`.
    const { Bucket, Key } = targetOf(asked);
    const command = new dist_cjs.HeadObjectCommand({ Bucket, Key });
    command.middlewareStack.add((next) => async (args) => {
        const { headers } = args.request;
        for (const name of Object.keys(headers))
            if (/^(authorization$|x-amz-)/i.test(name))
                delete headers[name];
        return await next(args);
    }, 
    // By then the request has been signed.
    { step: 'deserialize', priority: 'high', name: 'sendUnsigned' });
    try {
        await asked.context.client.send(command, { abortSignal: asked.signal });
        return { value: true };
    }
    catch (error) {
        asked.signal?.throwIfAborted();
        const { status } = serviceError(error);
        return [400, 401, 403].includes(status) ? { value: false } : { unknown: 'no answer' };
    }
}
/** What `ask` comes to; `absent` holds what it means if the service answers that there is no such thing, by its words. */
async function told(asked, permission, ask, absent = {}) {
    try {
        return { value: await ask() };
    }
    catch (error) {
        asked.signal?.throwIfAborted();
        const { name, status } = serviceError(error);
        if (name in absent)
            return { value: absent[name] };
        if (status === 403)
            return { unknown: 'not allowed', permission };
        const isUnheardOf = isNotImplemented(error) || (status >= 400 && status < 500 && status !== 429);
        return { unknown: isUnheardOf ? 'not implemented' : 'no answer', permission };
    }
}
function mapTold(fact, map) {
    return 'unknown' in fact ? fact : { value: map(fact.value) };
}

// EXTERNAL MODULE: ./node_modules/@aws-sdk/lib-storage/dist-cjs/index.js
var lib_storage_dist_cjs = __webpack_require__(2358);
;// CONCATENATED MODULE: ./src/storage/s3-upload.ts







/** Some services take no more parts than this (AWS: 10,000). */
const MOST_PARTS = 1_000;
const MIB = 2 ** 20;
const LEAST_PART_BYTES = 8 * MIB;
/** Parts on their way at once; one more is being collected, so a put holds up to five parts in memory. */
const CONCURRENT_PARTS = 3;
/** The part size, in whole MiB, with which `maxBytes` fit in 1,000 parts. */
function partSizeFor(maxBytes) {
    return Math.max(LEAST_PART_BYTES, Math.ceil(maxBytes / MOST_PARTS / MIB) * MIB);
}
/**
 * Writes one object: in one request if it fits in one part, else by multipart upload, which is aborted, and waited for,
 * before an error comes out. `explain` makes LifeboatErrors of the SDK's; the body's own errors stay what they are.
 */
async function uploadObject(context, key, body, options, explain) {
    options.signal?.throwIfAborted();
    const maxBytes = options.maxBytes ?? storage_body/* DEFAULT_MAX_BYTES */.fS;
    const meter = (0,storage_body/* meterBody */.Q0)(key, body, maxBytes);
    const put = new Put(context, meter, options.lockUntil !== undefined && context.endpoint !== undefined);
    const aborted = () => put.stop(options.signal?.reason);
    options.signal?.addEventListener('abort', aborted, { once: true });
    try {
        const upload = new lib_storage_dist_cjs/* Upload */._({
            client: put.client(),
            params: {
                Bucket: context.bucket,
                Key: context.base + key,
                Body: meter.stream,
                ...(options.lockUntil && { ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: options.lockUntil }),
                ...(options.storageClass && { StorageClass: options.storageClass }),
            },
            partSize: partSizeFor(maxBytes),
            queueSize: CONCURRENT_PARTS,
        });
        const result = await upload.done();
        if (options.lockUntil)
            await ensureLock(context, key, result.VersionId, options.lockUntil);
        return { key, bytes: meter.bytes(), modified: context.clock.now(), versionId: result.VersionId };
    }
    catch (error) {
        const failure = meter.failure();
        if (failure && !options.signal?.aborted)
            throw failure.error;
        // Upload may report what its own clearing up met; the first failure is the one that tells.
        throw explain(put.firstError() ?? error);
    }
    finally {
        options.signal?.removeEventListener('abort', aborted);
        meter.stream.destroy();
    }
}
/**
 * Some services take the lock's headers on a multipart upload and ignore them [seen in Ceph 16, in buckets with and
 * without Object Lock]. What was written must not pass for locked: so the lock is set once more, where that may be
 * needed. A bucket with Object Lock keeps versions, so an answer without one is a bucket without.
 */
async function ensureLock(context, key, VersionId, until) {
    const { client, bucket: Bucket, base, endpoint } = context;
    const target = { Bucket, Key: base + key };
    if (VersionId === undefined) {
        await client.send(new dist_cjs.DeleteObjectCommand(target)).catch(() => undefined);
        throw new errors/* LifeboatError */.H3(...noObjectLock(Bucket, 'the write went through, but without a version or a lock'));
    }
    if (endpoint === undefined)
        return;
    const version = { ...target, VersionId };
    try {
        const { ObjectLockRetainUntilDate: locked } = await client.send(new dist_cjs.HeadObjectCommand(version));
        if (locked)
            return;
        const Retention = { Mode: 'COMPLIANCE', RetainUntilDate: until };
        await client.send(new dist_cjs.PutObjectRetentionCommand({ ...version, Retention }));
    }
    catch (error) {
        await client.send(new dist_cjs.DeleteObjectCommand(version)).catch(() => undefined);
        throw error;
    }
}
/**
 * What Upload leaves open: it goes on sending the other parts after one has failed, cannot cancel requests under way,
 * and takes a lost answer to the last request for a failure. So it gets a client that does these things.
 */
class Put {
    #context;
    #meter;
    #needsMd5;
    #abort = new AbortController();
    #failed = false;
    #error;
    constructor(context, meter, needsMd5) {
        this.#context = context;
        this.#meter = meter;
        this.#needsMd5 = needsMd5;
        meter.stream.once('error', (error) => this.stop(error));
    }
    firstError() {
        return this.#failed ? this.#error : undefined;
    }
    /** Ends everything that is under way for this put: the requests and the reading of the body. */
    stop(error) {
        if (this.#failed)
            return;
        this.#failed = true;
        this.#error = error;
        this.#abort.abort(error);
        this.#meter.stream.destroy();
    }
    client() {
        const send = { value: (command) => this.#send(command) };
        return Object.create(this.#context.client, { send });
    }
    async #send(command) {
        const { client } = this.#context;
        // A request that begins or ends an upload must not be cut: what it did on the other side would not be known.
        if (command instanceof dist_cjs.AbortMultipartUploadCommand || command instanceof dist_cjs.CreateMultipartUploadCommand) {
            return await client.send(command).catch((error) => {
                this.stop(error);
                throw error;
            });
        }
        if (this.#needsMd5)
            addMd5(command);
        try {
            this.#abort.signal.throwIfAborted();
            const answer = await client.send(command, { abortSignal: this.#abort.signal });
            // A repeated request may be answered well, but without the version that the first one made.
            const repeated = (answer.$metadata.attempts ?? 1) > 1 && answer.VersionId === undefined;
            return (repeated && (await this.#completed(command))) || answer;
        }
        catch (error) {
            const completed = this.#failed ? undefined : await this.#completed(command);
            if (completed)
                return completed;
            this.stop(error);
            throw error;
        }
    }
    /** After a lost answer the repeated request may be refused, yet the object stands: it has the parts' joint ETag. */
    async #completed(command) {
        if (!(command instanceof dist_cjs.CompleteMultipartUploadCommand))
            return undefined;
        const { Bucket, Key, MultipartUpload } = command.input;
        try {
            const head = await this.#context.client.send(new dist_cjs.HeadObjectCommand({ Bucket, Key }));
            const etag = combinedEtag(MultipartUpload?.Parts?.map((part) => part.ETag ?? '') ?? []);
            const same = head.ContentLength === this.#meter.bytes() && head.ETag?.replaceAll('"', '') === etag;
            return same ? { ETag: head.ETag, VersionId: head.VersionId, $metadata: head.$metadata } : undefined;
        }
        catch {
            return undefined;
        }
    }
}
/** A write with a lock must carry a checksum. AWS gets the SDK's CRC, other services the MD5 that all of them know. */
function addMd5(command) {
    if (!(command instanceof dist_cjs.PutObjectCommand || command instanceof dist_cjs.UploadPartCommand))
        return;
    const { Body } = command.input;
    if (Body instanceof Uint8Array)
        command.input.ContentMD5 = md5Base64(Body);
}
/** The ETag of an object made of parts: the MD5 of their MD5s and their number. */
function combinedEtag(parts) {
    const digests = parts.map((etag) => Buffer.from(etag.replaceAll('"', ''), 'hex'));
    return `${(0,external_node_crypto_.createHash)('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}`;
}

;// CONCATENATED MODULE: ./src/storage/s3-versions.ts



/**
 * The pages of versions and markers of the objects whose key begins with `prefix`, each in byte order of keys, the
 * latest first. Undefined in place of the first page: the service does not know of versions.
 */
async function* versionPages({ client, bucket, base }, prefix, signal) {
    let position = {};
    while (position) {
        const command = new dist_cjs.ListObjectVersionsCommand({
            Bucket: bucket,
            Prefix: base + prefix,
            ...position,
        });
        const page = await client
            .send(command, { abortSignal: signal })
            .catch((error) => {
            if (isNotImplemented(error))
                return undefined;
            throw error;
        });
        yield page && versionsOf(page, base);
        const { NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = page ?? {};
        position = page?.IsTruncated && KeyMarker ? { KeyMarker, VersionIdMarker } : undefined;
    }
}
function versionsOf({ Versions, DeleteMarkers }, base) {
    const common = { Size: 0, Key: '', LastModified: new Date(0), VersionId: undefined, IsLatest: false };
    const versions = [
        ...(Versions ?? []).map((version) => ({ ...common, ...version, isDeleteMarker: false })),
        ...(DeleteMarkers ?? []).map((marker) => ({ ...common, ...marker, isDeleteMarker: true })),
    ].map(({ Key, Size, LastModified, VersionId, IsLatest, isDeleteMarker }) => {
        const version = { key: Key.slice(base.length), bytes: Size, modified: LastModified, versionId: VersionId };
        return { ...version, isLatest: IsLatest, isDeleteMarker };
    });
    // Empty objects named `folder/` are a console's.
    return versions
        .filter(({ key }) => key !== '' && !key.endsWith('/'))
        .sort((a, b) => (0,storage_location/* compareKeys */.YD)(a.key, b.key) ||
        Number(b.isLatest) - Number(a.isLatest) ||
        b.modified.getTime() - a.modified.getTime());
}

;// CONCATENATED MODULE: ./src/storage/s3.ts












/**
 * Backup sets in an S3 bucket, AWS's or another's (`endpoint`). `patience` is for tests: how often and how long the
 * service is waited for.
 */
async function openS3(location, options) {
    const { client, endpoint } = await createS3Client(options);
    return new S3Storage({
        client,
        endpoint,
        bucket: location.bucket,
        base: location.prefix === '' ? '' : `${location.prefix}/`,
        url: location.url,
        patience: { ...DEFAULT_PATIENCE, ...options.patience },
        log: options.log,
        clock: options.clock,
    });
}
class S3Storage {
    url;
    /** A bucket without Object Lock refuses the write itself: `no-object-lock`. */
    canLock = true;
    #context;
    #deleter;
    #locks;
    constructor(context) {
        this.#context = context;
        this.#deleter = new S3Deleter(context);
        this.#locks = new S3Locks(context);
        this.url = context.url;
    }
    async put(key, body, options = {}) {
        (0,storage_location/* checkKey */.yR)(key);
        const permission = options.lockUntil ? 's3:PutObject and s3:PutObjectRetention' : 's3:PutObject';
        const { lockUntil, storageClass, signal } = options;
        const lock = lockUntil !== undefined;
        const explain = this.#explainer({ verb: 'write', permission, key, lock, storageClass, signal });
        return await uploadObject(this.#context, key, body, options, explain);
    }
    async get(key, options = {}) {
        (0,storage_location/* checkKey */.yR)(key);
        const permission = options.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
        const explain = this.#explainer({ verb: 'read', permission, key, signal: options.signal });
        return await downloadObject(this.#context, key, options, explain);
    }
    async read(key, options = {}) {
        return await (0,storage_body/* collect */.Fo)(key, await this.get(key, options), options.limit ?? storage_body/* DEFAULT_READ_LIMIT */.FR);
    }
    async head(key, options = {}) {
        (0,storage_location/* checkKey */.yR)(key);
        // Without s3:ListBucket AWS answers 403 where there is no object.
        const permission = 's3:GetObject and s3:ListBucket';
        return await this.#explained({ verb: 'look at', permission, key }, async () => {
            const { client, bucket, base } = this.#context;
            try {
                const command = new dist_cjs.HeadObjectCommand({ Bucket: bucket, Key: base + key, VersionId: options.versionId });
                const { ContentLength = 0, LastModified = new Date(0), VersionId } = await client.send(command);
                return { key, bytes: ContentLength, modified: LastModified, versionId: VersionId };
            }
            catch (error) {
                if (isMissingObject(error))
                    return undefined;
                throw error;
            }
        });
    }
    async *list(prefix, options = {}) {
        (0,storage_location/* checkPrefix */.by)(prefix);
        const { base } = this.#context;
        const after = options.after ? base + options.after : undefined;
        for await (const page of this.#pages({ Prefix: base + prefix, StartAfter: after }, options.signal)) {
            for (const { Key = '', Size = 0, LastModified = new Date(0) } of page.Contents ?? []) {
                const key = Key.slice(base.length);
                // Consoles make empty objects named `folder/` to show a folder.
                if (key !== '' && !key.endsWith('/'))
                    yield { key, bytes: Size, modified: LastModified };
            }
        }
    }
    async *versions(prefix, options = {}) {
        (0,storage_location/* checkPrefix */.by)(prefix);
        const { signal } = options;
        const attempt = { verb: 'list the versions in', permission: 's3:ListBucketVersions', signal };
        const pages = versionPages(this.#context, prefix, signal);
        let found = 0;
        for (;;) {
            const { done, value: page } = await this.#explained(attempt, () => pages.next());
            if (done)
                break;
            found += page?.length ?? 0;
            yield* page ?? [];
        }
        // Also where a service answers the question for versions with something else.
        if (found > 0)
            return;
        for await (const object of this.list(prefix, options))
            yield { ...object, isLatest: true, isDeleteMarker: false };
    }
    async locks(objects, options = {}) {
        for (const { key } of objects)
            (0,storage_location/* checkKey */.yR)(key);
        const attempt = { verb: 'look at', permission: 's3:GetObjectRetention', signal: options.signal };
        return await this.#explained(attempt, () => this.#locks.of(objects, options.signal));
    }
    async folders(prefix) {
        (0,storage_location/* checkPrefix */.by)(prefix);
        const { base } = this.#context;
        const parent = base.length + prefix.lastIndexOf('/') + 1;
        const folders = [];
        for await (const page of this.#pages({ Prefix: base + prefix, Delimiter: '/' })) {
            for (const { Prefix = '' } of page.CommonPrefixes ?? [])
                folders.push(Prefix.slice(parent, -1));
        }
        return folders;
    }
    async delete(objects) {
        for (const { key } of objects)
            (0,storage_location/* checkKey */.yR)(key);
        const permission = 's3:DeleteObject and s3:DeleteObjectVersion';
        return await this.#explained({ verb: 'delete from', permission }, () => this.#deleter.delete(objects));
    }
    async abortUploads(prefix, before) {
        (0,storage_location/* checkPrefix */.by)(prefix);
        const { client, bucket: Bucket } = this.#context;
        const permission = 's3:ListBucketMultipartUploads and s3:AbortMultipartUpload';
        return await this.#explained({ verb: 'sweep', permission }, async () => {
            let count = 0;
            for (const { Key, UploadId, Initiated } of await this.#openUploads(prefix)) {
                if (!Initiated || Initiated >= before)
                    continue;
                await client.send(new dist_cjs.AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch((error) => {
                    if (!isMissingObject(error))
                        throw error;
                });
                count += 1;
            }
            return count;
        });
    }
    async posture(probe, prefix, { signal } = {}) {
        (0,storage_location/* checkKey */.yR)(probe.key);
        (0,storage_location/* checkPrefix */.by)(prefix);
        return await postureOf({ context: this.#context, probe, signal }, prefix);
    }
    close() {
        this.#context.client.destroy();
    }
    async #openUploads(prefix) {
        const { client, bucket, base } = this.#context;
        const uploads = [];
        let position = {};
        while (position) {
            const command = new dist_cjs.ListMultipartUploadsCommand({
                Bucket: bucket,
                Prefix: base + prefix,
                ...position,
            });
            const page = await client.send(command).catch((error) => {
                // A service that cannot list them cleans up by itself.
                if (isNotImplemented(error))
                    return undefined;
                throw error;
            });
            uploads.push(...(page?.Uploads ?? []));
            const { NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page ?? {};
            position = page?.IsTruncated && KeyMarker ? { KeyMarker, UploadIdMarker } : undefined;
        }
        return uploads;
    }
    async *#pages(query, signal) {
        const { client, bucket } = this.#context;
        let next;
        do {
            const command = new dist_cjs.ListObjectsV2Command({
                Bucket: bucket,
                ...query,
                ContinuationToken: next,
            });
            const attempt = { verb: 'list', permission: 's3:ListBucket', signal };
            const page = await this.#explained(attempt, () => client.send(command, { abortSignal: signal }));
            yield page;
            next = page.IsTruncated ? page.NextContinuationToken : undefined;
        } while (next !== undefined);
    }
    async #explained(attempt, work) {
        try {
            attempt.signal?.throwIfAborted();
            return await work();
        }
        catch (error) {
            throw this.#explainer(attempt)(error);
        }
    }
    #explainer(attempt) {
        const { url, bucket, endpoint } = this.#context;
        return (error) => explainS3Error(error, { ...attempt, url, bucket, endpoint });
    }
}


/***/ })

};
