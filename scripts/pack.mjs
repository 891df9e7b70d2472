// Packs packages as they are published. Only then they say where they come from: `repository`, `homepage` and `bugs` in the
// manifest, and absolute links in the README, because relative ones lead nowhere on a package page. So the repository's
// address stands in one place.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { manifest, root, runPnpm, Stop } from "./workspace.mjs";

/** Stands for the repository until it has a public address. No such domain can exist (RFC 2606 §2). */
const placeholder = "https://repository.invalid/glisten-mist-mug";

const { GITHUB_SERVER_URL, GITHUB_REPOSITORY } = process.env;

/** The address of the repository: in a workflow that of the workflow's, otherwise the placeholder. */
export const repositoryUrl =
  GITHUB_REPOSITORY === undefined ? placeholder : `${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}`;

/** Whether the repository's address is known, as the registry's proof of origin demands. */
export const isAddressKnown = repositoryUrl !== placeholder;

/**
 * Packs a package into the folder `target` as for publishing: `workspace:` ranges become versions, publishConfig's exports
 * apply, and the repository's address is filled in. Resolves with the path of the tarball; throws a Stop if there is none.
 *
 * @param {string} folder
 * @param {string} target
 * @param {string} [repository] a copy of this one to take the package from
 */
export async function pack(folder, target, repository = root) {
  mkdirSync(target, { recursive: true });
  const code = await runPnpm(["pack", "--pack-destination", target], {
    cwd: join(repository, folder),
    stdio: ["ignore", "ignore", "inherit"],
  });
  const tarball = readdirSync(target).find((file) => file.endsWith(".tgz"));
  if (code !== 0 || tarball === undefined) throw new Stop(`${manifest(folder).name} cannot be packed.`);
  fillIn(folder, join(target, tarball));
  return join(target, tarball);
}

/**
 * Fills the address into a packed package, and packs it again.
 *
 * @param {string} folder of the package in the repository, such as `packages/mist`
 * @param {string} tarball
 */
function fillIn(folder, tarball) {
  const place = mkdtempSync(join(tmpdir(), "fill-in-"));
  try {
    command("tar", ["-xzf", tarball, "-C", place]);
    const content = join(place, "package");
    const [manifestFile, readme] = [join(content, "package.json"), join(content, "README.md")];
    const packed = JSON.parse(readFileSync(manifestFile, "utf8"));
    writeFileSync(manifestFile, `${JSON.stringify({ ...packed, ...addresses(folder) }, null, 2)}\n`);
    writeFileSync(readme, withAbsoluteLinks(readFileSync(readme, "utf8"), folder));
    rmSync(tarball);
    command("npm", ["pack", content, "--pack-destination", join(tarball, ".."), "--loglevel=error"]);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** @param {string} folder */
function addresses(folder) {
  return {
    repository: { type: "git", url: `git+${repositoryUrl}.git`, directory: folder },
    homepage: `${repositoryUrl}/tree/HEAD/${folder}#readme`,
    bugs: { url: `${repositoryUrl}/issues` },
  };
}

/**
 * The text with links into the repository in place of relative ones. Those within the page stay.
 *
 * @param {string} text
 * @param {string} folder
 */
function withAbsoluteLinks(text, folder) {
  return text.replaceAll(/\]\((?![a-z]+:|#)([^)\s]+)\)/g, (_, target) => {
    const [path = "", heading] = target.split("#");
    const file = posix.join(folder, path);
    const kind = statSync(join(root, file)).isDirectory() ? "tree" : "blob";
    return `](${repositoryUrl}/${kind}/HEAD/${file}${heading === undefined ? "" : `#${heading}`})`;
  });
}

/**
 * What a packed package lacks: its addresses, its changes in this version, links that work.
 *
 * @param {string} folder
 * @param {string} tarball
 * @returns {string[]}
 */
export function lacking(folder, tarball) {
  /** @param {string} file */
  const read = (file) => command("tar", ["-xzOf", tarball, `package/${file}`]);
  const { name, version, repository, homepage, bugs } = JSON.parse(read("package.json"));
  const relative = [...read("README.md").matchAll(/\]\((?![a-z]+:|#)[^)\s]+\)/g)].map(([link]) => link);
  const findings = [];
  if (repository?.directory !== folder || homepage === undefined || bugs?.url === undefined)
    findings.push("its manifest does not say where it comes from");
  if (relative.length > 0) findings.push(`its README has relative links: ${relative.join(", ")}`);
  if (version !== "0.0.0" && !read("CHANGELOG.md").includes(`\n## ${version}\n`))
    findings.push("its changelog does not have its version");
  return findings.map((finding) => `${name}@${version}: ${finding}`);
}

/**
 * Runs a program; returns its output, and throws a Stop if it fails.
 *
 * @param {string} name
 * @param {string[]} args
 */
function command(name, args) {
  const { status, stdout, stderr, error } = spawnSync(name, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Stop(`${name} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return stdout;
}
