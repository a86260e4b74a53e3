// Shares: the weights of a name's versions as whole per cents that come to 100, and what moving one does to the others.

// The weights as per cents; the largest remainders take what rounding leaves.
export function sharesOf(weights) {
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  if (!total) return {};
  const exact = Object.entries(weights).map(([version, weight]) => [version, (100 * weight) / total]);
  const shares = Object.fromEntries(exact.map(([version, share]) => [version, Math.floor(share)]));
  let left = 100 - Object.values(shares).reduce((sum, share) => sum + share, 0);
  for (const [version] of exact.sort((a, b) => (b[1] % 1) - (a[1] % 1))) if (left-- > 0) shares[version] += 1;
  return shares;
}

// One version gets `share`; the others keep their proportions among themselves. When none of them has any, `heir` gets the rest.
export function moved(shares, version, share, heir) {
  const others = Object.entries(shares).filter(([other, held]) => other !== version && held > 0);
  const rest = others.length ? Object.fromEntries(others) : heir ? { [heir]: 1 } : {};
  if (!Object.keys(rest).length) return { [version]: 100 };
  const total = Object.values(rest).reduce((sum, held) => sum + held, 0);
  const given = Object.fromEntries(Object.entries(rest).map(([other, held]) => [other, ((100 - share) * held) / total]));
  return withoutNone(sharesOf({ ...given, [version]: share }));
}

export const withoutNone = (shares) => Object.fromEntries(Object.entries(shares).filter(([, share]) => share > 0));

export const isSame = (one, other) => {
  const [left, right] = [withoutNone(one), withoutNone(other)];
  const versions = Object.keys(left);
  return versions.length === Object.keys(right).length && versions.every((version) => left[version] === right[version]);
};

export const told = (shares) =>
  Object.entries(shares)
    .map(([version, share]) => `${version} ${share} %`)
    .join(", ") || "nobody";
