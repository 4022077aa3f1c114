# The decision case in Rego: who may read an item of one of the resources.
# `data.routes` maps "METHOD resource" to what the route asks for: an object look-up, the fastest form that the engine has.
package bench

default subject := ""

route := data.routes[concat(" ", [input.method, input.path[1]])] if {
	input.host == data.host
	count(input.path) == 3
	input.path[0] == "v1"
	input.path[2] != ""
}

claims := payload if {
	[true, _, payload] = io.jwt.decode_verify(input.token, {
		"cert": data.jwks, "alg": "RS256", "iss": data.issuer, "aud": data.audience,
	})
}

subject := claims.sub if {
	input.peer == route.peer
	route.scope in split(claims.scope, " ")
	input.path[2] in claims.item_ids
}
