// Amounts as decimal texts: whole numbers of the smallest part inside, never a float.

const PART = 4; // digits behind the point that are counted with; prices have two, per cents of them two more
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;

/** "18.5" as a number of ten-thousandths; null for what is no such text. */
export function parts(text) {
  const found = DECIMAL.exec(String(text ?? ""));
  if (!found) return null;
  const [, sign, whole, rest = ""] = found;
  const value = BigInt(whole + rest.slice(0, PART).padEnd(PART, "0"));
  return sign ? -value : value;
}

/** A line's amount, rounded to cents as one does by hand: "36.45"; null where something is missing. */
export function lineTotal({ quantity, price, discount = "0" }) {
  const [each, off] = [parts(price), parts(discount)];
  if (each === null || off === null || !Number.isInteger(quantity)) return null;
  const whole = BigInt(quantity) * each * (1_000_000n - off); // ten-thousandths, times a million
  return cents(halfUp(whole, 100_000_000n));
}

/** The sum of amounts; null and undefined count nothing. */
export function sum(amounts) {
  const known = amounts.filter((amount) => amount !== null && amount !== undefined);
  return cents(known.reduce((total, amount) => total + parts(amount) / 100n, 0n));
}

/** What a person typed ("2,5") as a decimal text ("2.5"); null where it is none from 0 to the most allowed. */
export function typedDecimal(text, most = null) {
  const plain = text.trim().replace(",", ".");
  if (!/^\d+(\.\d{1,2})?$/.test(plain)) return null;
  if (most !== null && parts(plain) > parts(most)) return null;
  return plain.replace(/^0+(?=\d)/, "");
}

/** As people of this language write it: "1.234,50". The text goes through untouched by floats. */
export function shown(amount, language) {
  if (amount === null || amount === undefined) return "–";
  return new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(amount);
}

function halfUp(value, by) {
  return (value + by / 2n) / by;
}

function cents(value) {
  const digits = String(value).padStart(3, "0");
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
