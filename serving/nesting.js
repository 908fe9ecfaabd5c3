// JSON nested some 20,000 deep, which takes 40 KB, overflows the stack of TensorFlow Serving's parser and ends its
// process. So nothing reaches it that is nested deeper than a request may need.

const DEEPEST = 16; // {"instances": [{"lr": [[[0.1, 0.2, 0.3]]]}]} has 6
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function pass(request) {
  const body = request.requestBuffer;
  if (body && isDeeper(body, DEEPEST)) {
    request.headersOut["Content-Type"] = "application/json";
    request.return(400, JSON.stringify({ error: `JSON nested deeper than ${DEEPEST} levels is not taken` }));
  } else {
    request.internalRedirect("@serving");
  }
}

/** Whether more than `most` lists and objects lie in each other. Bytes are looked at, for it need not be text. */
function isDeeper(body, most) {
  let depth = 0;
  for (let at = 0; at < body.length; at++) {
    switch (body[at]) {
      case QUOTE:
        at = endOfString(body, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        if (++depth > most) return true;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
  }
  return false;
}

/** Where the string ends that starts at `start`. */
function endOfString(body, start) {
  for (let end = body.indexOf(QUOTE, start + 1); end >= 0; end = body.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (body[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return body.length;
}

export default { pass };
