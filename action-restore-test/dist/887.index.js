export const id = 887;
export const ids = [887];
export const modules = {

/***/ 887:
/***/ ((__unused_webpack_module, __webpack_exports__, __webpack_require__) => {


// EXPORTS
__webpack_require__.d(__webpack_exports__, {
  openGitHubIssues: () => (/* binding */ openGitHubIssues)
});

// EXTERNAL MODULE: ./src/base/errors.ts
var base_errors = __webpack_require__(4758);
;// CONCATENATED MODULE: ./src/github/api-errors.ts

/** @octokit calls what never got an answer a 500, too. */
function apiError(error) {
    const { status = 0, response } = (error ?? {});
    if (response === undefined)
        return { status: 0, message: (0,base_errors/* codeOf */.$N)(causeOf(error)) ?? (0,base_errors/* messageOf */.bD)(error), headers: {}, fields: [] };
    const { message, errors } = response.data ?? {};
    return {
        status,
        message: oneLine(typeof message === 'string' ? message : `HTTP ${status}`),
        headers: response.headers ?? {},
        fields: Array.isArray(errors) ? errors.flatMap(({ field }) => (typeof field === 'string' ? [field] : [])) : [],
    };
}
function causeOf(error) {
    const { cause } = (error ?? {});
    return cause === undefined ? error : causeOf(cause);
}
function oneLine(text) {
    return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}
/** Whether the answer is that there were too many requests: 429, or a 403 that says so in one of its ways. */
function isRateLimit({ status, message, headers }) {
    if (status === 429)
        return true;
    const says = headers['retry-after'] !== undefined || headers['x-ratelimit-remaining'] === '0';
    return status === 403 && (says || /rate limit|abuse/i.test(message));
}
/** Whether the same request may be answered otherwise in a moment. */
function isPassing(error) {
    return error.status === 0 || error.status >= 500 || isRateLimit(error);
}
/** Whether what was asked for was surely not done: then even a comment can be asked for again. */
function isSurelyUndone(error) {
    return isRateLimit(error) || error.status === 503;
}
/**
 * How long GitHub wants to be left alone, in milliseconds; undefined where it does not say. Where a limit is hit and no
 * time is given it is a minute (docs.github.com, rate limits for the REST API).
 */
function askedDelay(error, now) {
    const { headers } = error;
    const seconds = Number(headers['retry-after']);
    if (headers['retry-after'] !== undefined && Number.isFinite(seconds))
        return Math.max(0, seconds * 1_000);
    if (!isRateLimit(error))
        return undefined;
    const reset = Number(headers['x-ratelimit-reset']);
    const isSpent = headers['x-ratelimit-remaining'] === '0' && Number.isFinite(reset);
    return isSpent ? Math.max(0, reset * 1_000 - now.getTime()) : 60_000;
}
const UNAVAILABLE = 'See githubstatus.com, and let this runner reach the API (HTTPS_PROXY, firewall); the next run tries again.';
/**
 * The error as one that says what to do. `what` was tried: `list the issues`; codes of what every call can meet begin with
 * the `kind` of things that it is about: `issues`.
 */
function explainApiError(error, { kind, what, repository, refusal }) {
    if (error instanceof base_errors/* LifeboatError */.H3)
        return error;
    const answer = apiError(error);
    const say = (code, why, remedy) => new base_errors/* LifeboatError */.H3(code, `Cannot ${what} of ${repository}: ${why}`, remedy, { cause: error });
    const { status, message } = answer;
    if (status === 0)
        return say(`${kind}-unreachable`, `GitHub gave no answer (${message})`, UNAVAILABLE);
    if (status >= 500)
        return say(`${kind}-unavailable`, `GitHub is in trouble (HTTP ${status})`, UNAVAILABLE);
    if (isRateLimit(answer)) {
        const remedy = 'Nothing: the next run tries again.';
        return say(`${kind}-rate-limited`, `GitHub wants fewer requests (${message})`, remedy);
    }
    const [code, why, remedy] = refusal(answer);
    return say(code, why, remedy);
}

// EXTERNAL MODULE: ./node_modules/@actions/github/lib/github.js + 22 modules
var github = __webpack_require__(2413);
;// CONCATENATED MODULE: ./src/github/github-api.ts


const API_PATIENCE = { total: 60_000, request: 15_000, firstDelay: 1_000 };
const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
/**
 * Asks GitHub, or a server of one's own, about one repository through @actions/github, which honours the proxy variables.
 * Asks again, with growing delays, what failed for a moment; gives up once a minute is spent over all.
 */
class GitHubApi {
    rest;
    /** The repository, as calls name it. */
    place;
    #options;
    #explain;
    #patience;
    #deadline;
    /** `explain`: how `explainApiError` is to tell what went wrong. */
    constructor(options, explain) {
        const [owner = '', repo = ''] = options.repository.split('/');
        this.rest = (0,github/* getOctokit */.Q)(options.token, { baseUrl: options.apiUrl, log: SILENT }).rest;
        this.place = { owner, repo };
        this.#options = options;
        this.#explain = explain;
        this.#patience = options.patience ?? API_PATIENCE;
        this.#deadline = options.clock.now().getTime() + this.#patience.total;
    }
    /** One request, and those that follow it while it fails for a moment and there is time. Rejects as `explainApiError` says. */
    async ask(what, send, { repeatable = true } = {}) {
        const { clock, log, signal, repository } = this.#options;
        for (let attempt = 1;; attempt += 1) {
            signal.throwIfAborted();
            const left = this.#deadline - clock.now().getTime();
            try {
                return await send({ signal: AbortSignal.any([signal, AbortSignal.timeout(this.#limit(left))]) });
            }
            catch (error) {
                signal.throwIfAborted();
                const answer = apiError(error);
                const delay = askedDelay(answer, clock.now()) ?? this.#patience.firstDelay * 2 ** (attempt - 1);
                const again = repeatable ? isPassing(answer) : isSurelyUndone(answer);
                if (!again || clock.now().getTime() + delay >= this.#deadline) {
                    throw explainApiError(error, { ...this.#explain, what, repository });
                }
                log.debug(`cannot ${what}: ${answer.status} ${answer.message}; trying again in ${(delay / 1_000).toFixed(1)} s`);
                await clock.sleep(delay, signal);
            }
        }
    }
    #limit(left) {
        return Math.max(1, Math.min(left, this.#patience.request));
    }
}
/** Of an answer that was cut off @octokit makes a text. */
function whole(data) {
    if (typeof data !== 'object' || data === null)
        throw new Error('the answer is cut off');
    return data;
}

;// CONCATENATED MODULE: ./src/github/issue-errors.ts
const PERMISSION = 'Add the line `issues: write` below `permissions:` of the job (what else it needs stays there; pull requests from forks and from Dependabot never get it), or set `alert: off`.';
/** What it means that GitHub refuses what was asked about issues. */
const explainIssueRefusal = ({ status, message }) => {
    const said = `${message} (HTTP ${status})`;
    if (status === 410 || /issues (are|has been) disabled/i.test(message)) {
        const remedy = 'Turn them on (Settings > General > Features > Issues), or set `alert: off` and use `heartbeat-url`.';
        return ['issues-disabled', 'issues are turned off in this repository', remedy];
    }
    if (status === 401) {
        const remedy = 'Leave `github-token` out, then the job’s own token is used, or give one that is valid.';
        return ['issues-token-refused', `the token was refused: ${said}`, remedy];
    }
    if (status === 403 && /archived/i.test(message)) {
        return ['issues-archived', said, 'Unarchive the repository, or let the workflow run in another one.'];
    }
    if (status === 403)
        return ['issues-forbidden', said, PERMISSION];
    if (status === 404) {
        return ['issues-not-found', `the token may not see them: ${said}`, PERMISSION];
    }
    return ['issues-refused', said, 'Please report it, with the log: GitHub understood the request otherwise.'];
};

;// CONCATENATED MODULE: ./src/github/github-issues.ts




const PAGE = 100;
const LABEL_COLOR = 'b60205';
const LABEL_DESCRIPTION = 'Alerts of pg-lifeboat about backups';
/**
 * The issues of a repository on GitHub, or on a server of one's own. Never the search API: it lags behind, and what it does
 * not find yet would be opened twice.
 */
function openGitHubIssues(options) {
    return new GitHubIssues(new GitHubApi(options, { kind: 'issues', refusal: explainIssueRefusal }));
}
class GitHubIssues {
    #api;
    constructor(api) {
        this.#api = api;
    }
    async list(label, which) {
        const filter = which === 'open'
            ? { state: 'open' }
            : { state: 'closed', since: which.closedSince.toISOString() };
        const issues = [];
        for (let page = 1;; page += 1) {
            const found = await this.#api.ask('list the issues', async (request) => {
                const order = { sort: 'created', direction: 'asc' };
                const { issues: api } = this.#api.rest;
                const query = { ...this.#api.place, ...filter, ...order, labels: label, per_page: PAGE, page, request };
                return whole((await api.listForRepo(query)).data);
            });
            issues.push(...found.filter((issue) => issue.pull_request === undefined).map((issue) => toIssue(issue)));
            if (found.length < PAGE)
                break;
        }
        // `since` is the time of the last change, and a comment is one.
        return which === 'open' ? issues : issues.filter(({ closedAt }) => closedAt && closedAt >= which.closedSince);
    }
    async create({ title, body, labels }) {
        const created = await this.#api.ask('open an issue', async (request) => {
            const draft = { ...this.#api.place, title, body, labels: [...labels], request };
            return whole((await this.#api.rest.issues.create(draft)).data);
        });
        return toIssue(created);
    }
    async update(number, { title, body, state, reason }) {
        await this.#api.ask(`update issue ${number}`, (request) => this.#api.rest.issues.update({
            ...this.#api.place,
            issue_number: number,
            ...(title !== undefined && { title }),
            ...(body !== undefined && { body }),
            ...(state !== undefined && { state }),
            ...(reason !== undefined && { state_reason: reason }),
            request,
        }));
    }
    async closeAsDuplicate(number, original) {
        await this.comment(number, `Duplicate of #${original.number}`);
        const close = (state_reason) => this.#api.ask(`close issue ${number}`, (request) => this.#api.rest.issues.update({
            ...this.#api.place,
            issue_number: number,
            state: 'closed',
            state_reason: state_reason,
            request,
        }));
        try {
            await close('duplicate');
        }
        catch (error) {
            // Servers of one's own may not know that reason yet.
            if (!(error instanceof base_errors/* LifeboatError */.H3) || apiError(error.cause).status !== 422)
                throw error;
            await close('not_planned');
        }
    }
    async comment(number, body) {
        await this.#api.ask(`comment on issue ${number}`, (request) => this.#api.rest.issues.createComment({ ...this.#api.place, issue_number: number, body, request }), 
        // Of two equal comments one is noise.
        { repeatable: false });
    }
    async ensureLabel(name) {
        const { issues } = this.#api.rest;
        await this.#api.ask(`make the label ${name}`, async (request) => {
            try {
                await issues.getLabel({ ...this.#api.place, name, request });
            }
            catch (error) {
                if (apiError(error).status !== 404)
                    throw error;
                await issues
                    .createLabel({ ...this.#api.place, name, color: LABEL_COLOR, description: LABEL_DESCRIPTION, request })
                    .catch((refused) => {
                    // Another run made it a moment ago.
                    if (apiError(refused).status !== 422)
                        throw refused;
                });
            }
        });
    }
    async addLabels(number, labels) {
        await this.#api.ask(`label issue ${number}`, (request) => this.#api.rest.issues.addLabels({ ...this.#api.place, issue_number: number, labels: [...labels], request }));
    }
    async assign(number, users) {
        const add = (assignees) => this.#api.ask(`assign issue ${number}`, async (request) => {
            const { issues } = this.#api.rest;
            const asked = { ...this.#api.place, issue_number: number, assignees: [...assignees], request };
            const { data } = await issues.addAssignees(asked);
            return toIssue(data).assignees.map((name) => name.toLowerCase());
        });
        const refused = async (assignees) => {
            try {
                const assigned = await add(assignees);
                return assignees.filter((name) => !assigned.includes(name.toLowerCase()));
            }
            catch (error) {
                const { status } = apiError(error.cause);
                if (status !== 404 && status !== 422)
                    throw error;
                // One that does not exist spoils it for all.
                if (assignees.length === 1)
                    return [...assignees];
                const each = [];
                for (const name of assignees)
                    each.push(...(await refused([name])));
                return each;
            }
        };
        return users.length === 0 ? [] : refused(users);
    }
}
function toIssue(issue) {
    const association = issue.author_association;
    return {
        number: issue.number,
        title: issue.title,
        body: issue.body ?? '',
        state: issue.state === 'closed' ? 'closed' : 'open',
        ...(issue.closed_at && { closedAt: new Date(issue.closed_at) }),
        isDuplicate: issue.state_reason === 'duplicate',
        labels: issue.labels.map((label) => (typeof label === 'string' ? label : (label.name ?? ''))),
        assignees: (issue.assignees ?? []).map(({ login }) => login),
        isTrusted: issue.user?.type === 'Bot' || ['OWNER', 'MEMBER', 'COLLABORATOR'].includes(association ?? ''),
        url: issue.html_url,
    };
}


/***/ })

};
