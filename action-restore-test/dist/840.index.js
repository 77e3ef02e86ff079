export const id = 840;
export const ids = [840];
export const modules = {

/***/ 8840:
/***/ ((__unused_webpack_module, __webpack_exports__, __webpack_require__) => {

/* harmony export */ __webpack_require__.d(__webpack_exports__, {
/* harmony export */   openPackageCache: () => (/* binding */ openPackageCache)
/* harmony export */ });
/* unused harmony export keepGenuine */
/* harmony import */ var node_crypto__WEBPACK_IMPORTED_MODULE_0__ = __webpack_require__(7598);
/* harmony import */ var node_crypto__WEBPACK_IMPORTED_MODULE_0___default = /*#__PURE__*/__webpack_require__.n(node_crypto__WEBPACK_IMPORTED_MODULE_0__);
/* harmony import */ var node_fs__WEBPACK_IMPORTED_MODULE_1__ = __webpack_require__(3024);
/* harmony import */ var node_fs__WEBPACK_IMPORTED_MODULE_1___default = /*#__PURE__*/__webpack_require__.n(node_fs__WEBPACK_IMPORTED_MODULE_1__);
/* harmony import */ var node_fs_promises__WEBPACK_IMPORTED_MODULE_2__ = __webpack_require__(1455);
/* harmony import */ var node_fs_promises__WEBPACK_IMPORTED_MODULE_2___default = /*#__PURE__*/__webpack_require__.n(node_fs_promises__WEBPACK_IMPORTED_MODULE_2__);
/* harmony import */ var node_os__WEBPACK_IMPORTED_MODULE_3__ = __webpack_require__(8161);
/* harmony import */ var node_os__WEBPACK_IMPORTED_MODULE_3___default = /*#__PURE__*/__webpack_require__.n(node_os__WEBPACK_IMPORTED_MODULE_3__);
/* harmony import */ var node_path__WEBPACK_IMPORTED_MODULE_4__ = __webpack_require__(6760);
/* harmony import */ var node_path__WEBPACK_IMPORTED_MODULE_4___default = /*#__PURE__*/__webpack_require__.n(node_path__WEBPACK_IMPORTED_MODULE_4__);
/* harmony import */ var node_stream_promises__WEBPACK_IMPORTED_MODULE_5__ = __webpack_require__(6466);
/* harmony import */ var node_stream_promises__WEBPACK_IMPORTED_MODULE_5___default = /*#__PURE__*/__webpack_require__.n(node_stream_promises__WEBPACK_IMPORTED_MODULE_5__);
/* harmony import */ var _actions_cache__WEBPACK_IMPORTED_MODULE_6__ = __webpack_require__(1691);
/* harmony import */ var _base_errors_js__WEBPACK_IMPORTED_MODULE_7__ = __webpack_require__(4758);








/**
 * Package files in the GitHub Actions cache: they spare later runs the download from the distribution's or PGDG's
 * archive. What comes out of a cache is not trusted. apt itself does not help there: it takes any file in its archive
 * directory whose *size* is right [tried with apt 2.6]. So every file is checked here against the SHA-256 in the signed
 * package lists, and removed if it differs; apt then downloads it. (The unpacking itself can only be protected by who may
 * write to the cache, hence the caller's permission.) Undefined where there is no cache to use.
 */
async function openPackageCache(options) {
    const { env, log, packages } = options;
    if (!(0,_actions_cache__WEBPACK_IMPORTED_MODULE_6__/* .isFeatureAvailable */ .w3)())
        return undefined;
    // The same in every run: the cache's key includes the path.
    const directory = (0,node_path__WEBPACK_IMPORTED_MODULE_4__.join)(env.RUNNER_TEMP ?? (0,node_os__WEBPACK_IMPORTED_MODULE_3__.tmpdir)(), 'pg-lifeboat-packages', packages.join('+'));
    await options.remove(directory);
    await (0,node_fs_promises__WEBPACK_IMPORTED_MODULE_2__.mkdir)((0,node_path__WEBPACK_IMPORTED_MODULE_4__.join)(directory, 'partial'), { recursive: true });
    const wanted = await listPackageFiles(options, directory);
    if (wanted.length === 0)
        return undefined;
    const key = await cacheKey(wanted, options);
    const restored = await (0,_actions_cache__WEBPACK_IMPORTED_MODULE_6__/* .restoreCache */ .P3)([directory], key).catch((error) => {
        log.warning(`The package cache could not be read: ${(0,_base_errors_js__WEBPACK_IMPORTED_MODULE_7__/* .messageOf */ .bD)(error)}`);
        return undefined;
    });
    const good = await keepGenuine(directory, wanted, log);
    if (restored !== undefined)
        log.info(`Package cache: ${good} of ${wanted.length} package files`);
    await (0,node_fs_promises__WEBPACK_IMPORTED_MODULE_2__.mkdir)((0,node_path__WEBPACK_IMPORTED_MODULE_4__.join)(directory, 'partial'), { recursive: true });
    return {
        aptOptions: ['-o', `Dir::Cache::archives=${directory}`, '-o', 'APT::Keep-Downloaded-Packages=true'],
        finish: async (installed) => {
            if (installed && restored === undefined)
                await save(directory, key, wanted, options);
            await options.remove(directory);
        },
    };
}
async function save(directory, key, wanted, options) {
    try {
        await options.remove((0,node_path__WEBPACK_IMPORTED_MODULE_4__.join)(directory, 'partial'));
        await options.remove((0,node_path__WEBPACK_IMPORTED_MODULE_4__.join)(directory, 'lock'));
        if ((await keepGenuine(directory, wanted, options.log)) < wanted.length)
            return;
        await (0,_actions_cache__WEBPACK_IMPORTED_MODULE_6__/* .saveCache */ .Io)([directory], key);
    }
    catch (error) {
        options.log.warning(`The package cache could not be written: ${(0,_base_errors_js__WEBPACK_IMPORTED_MODULE_7__/* .messageOf */ .bD)(error)}`);
    }
}
/** What apt would download, with the directory empty; only files with a SHA-256 are cached. */
async function listPackageFiles(options, empty) {
    const args = ['--print-uris', '-qq', '-o', 'Acquire::ForceHash=SHA256', '-o', `Dir::Cache::archives=${empty}`];
    const { exitCode, stdout } = await options.list(args);
    if (exitCode !== 0)
        return [];
    const lines = stdout.matchAll(/^'[^']+' ([^\s/]+\.deb) (\d+) SHA256:([0-9a-f]{64})$/gm);
    return [...lines].map(([, name = '', bytes, sha256 = '']) => ({ name, bytes: Number(bytes), sha256 }));
}
/** Names what is in the cache: any other package, version or build has another key. */
async function cacheKey(wanted, { packages, root }) {
    const release = await (0,node_fs_promises__WEBPACK_IMPORTED_MODULE_2__.readFile)(`${root}/etc/os-release`, 'utf8').catch(() => '');
    const field = (name) => new RegExp(`^${name}="?([^"\\n]*)"?$`, 'm').exec(release)?.[1] ?? 'unknown';
    const contents = wanted.map(({ name, sha256 }) => `${name} ${sha256}\n`).sort();
    const digest = (0,node_crypto__WEBPACK_IMPORTED_MODULE_0__.createHash)('sha256').update(contents.join('')).digest('hex').slice(0, 32);
    return `pg-lifeboat-${field('ID')}-${field('VERSION_ID')}-${process.arch}-${packages.join('+')}-${digest}`;
}
/** Removes everything from the directory that is not, byte for byte, a wanted package; how many are left. */
async function keepGenuine(directory, wanted, log) {
    let good = 0;
    for (const entry of await (0,node_fs_promises__WEBPACK_IMPORTED_MODULE_2__.readdir)(directory, { withFileTypes: true })) {
        const path = (0,node_path__WEBPACK_IMPORTED_MODULE_4__.join)(directory, entry.name);
        const expected = wanted.find(({ name }) => name === entry.name);
        if (expected !== undefined && entry.isFile() && (await sha256Of(path)) === expected.sha256) {
            good += 1;
            continue;
        }
        if (expected !== undefined)
            log.warning(`The cached package ${entry.name} is not the genuine one; it is downloaded again`);
        await (0,node_fs_promises__WEBPACK_IMPORTED_MODULE_2__.rm)(path, { recursive: true, force: true });
    }
    return good;
}
async function sha256Of(path) {
    const hash = (0,node_crypto__WEBPACK_IMPORTED_MODULE_0__.createHash)('sha256');
    await (0,node_stream_promises__WEBPACK_IMPORTED_MODULE_5__.pipeline)((0,node_fs__WEBPACK_IMPORTED_MODULE_1__.createReadStream)(path), hash);
    return hash.digest('hex');
}


/***/ })

};
