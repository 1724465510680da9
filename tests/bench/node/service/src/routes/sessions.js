const bcrypt = require("bcryptjs");
const jwt = require("jsonwebtoken");
const router = require("express").Router();

router.post("/", async (request, response) => {
  if (!(await bcrypt.compare(request.body.password, process.env.PASSWORD_HASH))) return response.sendStatus(401);
  response.json({ token: jwt.sign({ name: request.body.name }, process.env.JWT_SECRET) });
});
module.exports = router;
